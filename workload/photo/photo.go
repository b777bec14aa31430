// Package photo takes photos of a scene that is not there, for work on pictures: the
// same ones at every run, of the size in bytes that is asked for. And it knows what is
// right to be made of them, so that a result can be judged.
package photo

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"sync"

	"github.com/disintegration/gift"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// The smallest and the largest photo, in bytes.
const (
	MinBytes = 200_000
	MaxBytes = 30_000_000
)

// quality is that of a camera's best JPEGs.
const quality = 98

// A Photo is a picture that looks like one of a camera: edges, surfaces and grain.
type Photo struct {
	JPEG          []byte // of quality 98 and subsampling 4:2:0
	Width, Height int    // in pixels

	picture *image.RGBA // what the JPEG is made of

	mu     sync.Mutex
	golden map[workload.ImageOp]image.Image
	losses map[workload.ImageOp]float64
}

// Take takes a photo, four by three, whose JPEG has so many bytes within 3 %, from
// MinBytes to MaxBytes, and a pixel for each 0.8 of them. It takes the processor 0.2 s
// for a megabyte. With one version of Go and on one architecture it gives the same
// bytes whenever it is asked.
func Take(ctx context.Context, size int64) (*Photo, error) {
	if size < MinBytes || size > MaxBytes {
		return nil, fmt.Errorf("photo: %d bytes are not between %d and %d", size, MinBytes, MaxBytes)
	}
	// As it was measured; what comes of it corrects it.
	each := 0.855 - 0.033*math.Log10(float64(size)/1e6)
	for range 5 {
		width := int(math.Round(math.Sqrt(float64(size) / each / 0.75)))
		p, err := take(ctx, width, int(math.Round(float64(width)*0.75)))
		if err != nil {
			return nil, fmt.Errorf("photo: %w", err)
		}
		got := float64(len(p.JPEG))
		if math.Abs(got/float64(size)-1) <= 0.03 {
			return p, nil
		}
		each = got / float64(p.Width*p.Height)
	}
	return nil, fmt.Errorf("photo: none has %d bytes", size)
}

func take(ctx context.Context, width, height int) (*Photo, error) {
	picture, err := expose(ctx, width, height)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, picture, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	return &Photo{
		JPEG: file.Bytes(), Width: width, Height: height,
		picture: picture,
		golden:  map[workload.ImageOp]image.Image{},
		losses:  map[workload.ImageOp]float64{},
	}, nil
}

// filters make what is right, by another implementation than any guest's. They rotate
// counter-clockwise.
var filters = map[workload.ImageOp]gift.Filter{
	workload.Resize: gift.Resize(800, 600, gift.CubicResampling),
	workload.Rotate: gift.Rotate270(),
	workload.Blur:   gift.GaussianBlur(5. / 3),
}

// Golden returns what op makes of the photo where nothing is lost: of the picture that
// its JPEG was made of. It is computed at its first use, which takes the processor up to
// 0.5 s for a megabyte, and kept; it must not be changed.
func (p *Photo) Golden(op workload.ImageOp) (image.Image, error) {
	filter, ok := filters[op]
	switch {
	case op == workload.Compress:
		return p.picture, nil
	case !ok:
		return nil, fmt.Errorf("photo: it is not known what is right for %q", string(op))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.golden[op] == nil {
		g := gift.New(filter)
		right := image.NewRGBA(g.Bounds(p.picture.Bounds()))
		g.Draw(right, p.picture)
		p.golden[op] = right
	}
	return p.golden[op], nil
}
