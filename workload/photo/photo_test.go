package photo_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/draw"

	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
)

// one is a photo that the tests share.
var one = sync.OnceValues(func() (*photo.Photo, error) { return photo.Take(context.Background(), 1e6) })

func take(t *testing.T) *photo.Photo {
	t.Helper()
	p, err := one()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decoded returns the pixels of a JPEG.
func decoded(t *testing.T, file []byte) *image.RGBA {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	pixels := image.NewRGBA(m.Bounds())
	draw.Draw(pixels, pixels.Rect, m, image.Point{}, draw.Src)
	return pixels
}

// encoded returns the pixels that a JPEG of this quality leaves.
func encoded(t *testing.T, m image.Image, quality int) *image.RGBA {
	t.Helper()
	var file bytes.Buffer
	if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return decoded(t, file.Bytes())
}

// moved returns a picture of w times h pixels, each that of m at the place that from
// tells.
func moved(m *image.RGBA, w, h int, from func(x, y int) (int, int)) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			to.SetRGBA(x, y, m.RGBAAt(from(x, y)))
		}
	}
	return to
}

// blurred is a Gaussian blur with 2*radius+1 taps and a sigma of radius/3, edges clamped.
func blurred(m *image.RGBA, radius int) *image.RGBA {
	var weights []float64
	var sum float64
	for i := -radius; i <= radius; i++ {
		at := float64(3*i) / float64(radius)
		weights = append(weights, math.Exp(-at*at/2))
		sum += weights[len(weights)-1]
	}
	for _, stride := range []image.Point{{1, 0}, {0, 1}} {
		to := image.NewRGBA(m.Rect)
		for y := range m.Rect.Dy() {
			for x := range m.Rect.Dx() {
				var r, g, b float64
				for i, w := range weights {
					px := min(max(x+(i-radius)*stride.X, 0), m.Rect.Dx()-1)
					py := min(max(y+(i-radius)*stride.Y, 0), m.Rect.Dy()-1)
					p := m.Pix[m.PixOffset(px, py):]
					r, g, b = r+w*float64(p[0]), g+w*float64(p[1]), b+w*float64(p[2])
				}
				to.SetRGBA(x, y, color.RGBA{R: uint8(r/sum + 0.5), G: uint8(g/sum + 0.5), B: uint8(b/sum + 0.5), A: 255})
			}
		}
		m = to
	}
	return m
}

func resized(m image.Image, by draw.Interpolator) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, 800, 600))
	by.Scale(to, to.Rect, m, m.Bounds(), draw.Src, nil)
	return to
}

// What is right passes, and what is nearly right does not. Of a small photo where that
// shows too, for the race detector makes pixels slow.
func TestJudge(t *testing.T) {
	large := take(t)
	whole := decoded(t, large.JPEG)
	p, err := photo.Take(t.Context(), photo.MinBytes)
	if err != nil {
		t.Fatal(err)
	}
	in := decoded(t, p.JPEG)
	w, h := p.Width, p.Height
	same := func(x, y int) (int, int) { return x, y }
	mirrored := func(x, y int) (int, int) { return w - 1 - x, y }
	shifted := func(x, y int) (int, int) { return min(x+1, w-1), y }
	swapped := func(m *image.RGBA) *image.RGBA {
		to := moved(m, m.Rect.Dx(), m.Rect.Dy(), same)
		for i := 0; i < len(to.Pix); i += 4 {
			to.Pix[i], to.Pix[i+2] = to.Pix[i+2], to.Pix[i]
		}
		return to
	}
	right := resized(whole, draw.CatmullRom)
	clockwise := moved(in, h, w, func(x, y int) (int, int) { return y, h - 1 - x })
	tests := []struct {
		name   string
		op     workload.ImageOp
		result image.Image
		right  bool
		told   bool // as a JPEG too
	}{
		{"by Catmull-Rom", workload.Resize, right, true, true},
		{"by Catmull-Rom, red and blue swapped", workload.Resize, swapped(right), false, true},
		{"by Catmull-Rom, mirrored", workload.Resize, moved(right, 800, 600, func(x, y int) (int, int) { return 799 - x, y }), false, true},
		{"by Catmull-Rom, a pixel off", workload.Resize, moved(right, 800, 600, func(x, y int) (int, int) { return min(x+1, 799), y }), false, true},
		{"bilinear", workload.Resize, resized(whole, draw.BiLinear), false, false},
		{"approximately bilinear", workload.Resize, resized(whole, draw.ApproxBiLinear), false, false},
		{"the nearest", workload.Resize, resized(whole, draw.NearestNeighbor), false, true},
		{"nothing", workload.Resize, image.NewRGBA(image.Rect(0, 0, 800, 600)), false, true},

		{"clockwise", workload.Rotate, clockwise, true, true},
		{"counter-clockwise", workload.Rotate, moved(in, h, w, func(x, y int) (int, int) { return w - 1 - y, x }), false, true},
		{"transposed", workload.Rotate, moved(in, h, w, func(x, y int) (int, int) { return y, x }), false, true},
		{"clockwise, a pixel off", workload.Rotate, moved(in, h, w, func(x, y int) (int, int) { return min(y+1, w-1), h - 1 - x }), false, true},

		{"radius 5", workload.Blur, blurred(in, 5), true, true},
		{"radius 4", workload.Blur, blurred(in, 4), false, true},
		{"radius 6", workload.Blur, blurred(in, 6), false, true},
		{"not at all", workload.Blur, in, false, true},
		{"radius 5, mirrored", workload.Blur, blurred(moved(in, w, h, mirrored), 5), false, true},

		{"quality 80", workload.Compress, encoded(t, in, 80), true, true},
		{"quality 90", workload.Compress, encoded(t, in, 90), false, true},
		{"quality 70", workload.Compress, encoded(t, in, 70), false, true},
		{"quality 50", workload.Compress, encoded(t, in, 50), false, true},
		{"quality 80, a pixel off", workload.Compress, encoded(t, moved(in, w, h, shifted), 80), false, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.op)+" "+tt.name, func(t *testing.T) {
			p := p
			if tt.op == workload.Resize {
				p = large
			}
			err := p.Judge(tt.op, tt.result)
			if tt.right != (err == nil) {
				t.Errorf("right %v, but %v", tt.right, err)
			}
			again := tt.result
			if tt.op != workload.Compress {
				again = encoded(t, again, 80)
			}
			err = p.JudgeJPEG(tt.op, again)
			if tt.told && tt.right != (err == nil) {
				t.Errorf("right %v, but as a JPEG %v", tt.right, err)
			}
		})
	}
	if err := p.Judge(workload.Rotate, in); err == nil || !strings.Contains(err.Error(), "compared with") {
		t.Errorf("of other dimensions: %v", err)
	}
	if err := p.Judge("sharpen", in); err == nil || !strings.Contains(err.Error(), "sharpen") {
		t.Errorf("what is not known: %v", err)
	}
}

// What is right of a smaller photo passes too, though a JPEG's colours show more there.
func TestJudgeSmall(t *testing.T) {
	for _, size := range []int64{400_000} {
		p, err := photo.Take(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		in := decoded(t, p.JPEG)
		for op, result := range map[workload.ImageOp]image.Image{
			workload.Resize:   resized(in, draw.CatmullRom),
			workload.Rotate:   moved(in, p.Height, p.Width, func(x, y int) (int, int) { return y, p.Height - 1 - x }),
			workload.Blur:     blurred(in, 5),
			workload.Compress: encoded(t, in, 80),
		} {
			if err := p.Judge(op, result); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			if op == workload.Compress {
				continue
			}
			if err := p.JudgeJPEG(op, encoded(t, result, 80)); err != nil {
				t.Errorf("%d bytes, as a JPEG: %v", size, err)
			}
		}
	}
}

// Photos are of the size that is asked for, four by three, and those that the first
// were again.
func TestTake(t *testing.T) {
	for _, size := range []int64{photo.MinBytes, 345_678} {
		p, err := photo.Take(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(len(p.JPEG)) / float64(size); got < 0.97 || got > 1.03 {
			t.Errorf("%d bytes: %d are %.2f of them", size, len(p.JPEG), got)
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(p.JPEG))
		if err != nil || c.Width != p.Width || c.Height != p.Height {
			t.Errorf("%d bytes: %dx%d, error %v; want %dx%d", size, c.Width, c.Height, err, p.Width, p.Height)
		}
		if shape := float64(p.Width) / float64(p.Height); math.Abs(shape-4./3) > 0.01 {
			t.Errorf("%d bytes: %dx%d is not four by three", size, p.Width, p.Height)
		}
		if each := float64(size) / float64(p.Width*p.Height); each < 0.7 || each > 1.1 {
			t.Errorf("%d bytes: %.2f for a pixel", size, each)
		}
	}
	again, err := photo.Take(t.Context(), 1e6)
	if err != nil || !bytes.Equal(again.JPEG, take(t).JPEG) {
		t.Errorf("another photo the second time, error %v", err)
	}
	for _, size := range []int64{-1, 0, photo.MinBytes - 1, photo.MaxBytes + 1} {
		if _, err := photo.Take(t.Context(), size); err == nil {
			t.Errorf("a photo of %d bytes was taken", size)
		}
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := photo.Take(ctx, 1e6); !errors.Is(err, enough) {
		t.Errorf("a context that has ended gave %v", err)
	}
}

// The picture is neither noise nor flat: it uses most levels; a pixel is like its
// neighbours, less so those farther away, at every scale; and it has edges, few.
func TestPhotoIsLikeOne(t *testing.T) {
	golden, err := take(t).Golden(workload.Compress)
	if err != nil {
		t.Fatal(err)
	}
	m := golden.(*image.RGBA)
	w, h := m.Rect.Dx(), m.Rect.Dy()
	green := func(x, y int) float64 { return float64(m.Pix[m.PixOffset(x, y)+1]) }
	var levels [256]float64
	var mean, square float64
	for y := range h {
		for x := range w {
			v := green(x, y)
			levels[int(v)]++
			mean, square = mean+v, square+v*v
		}
	}
	n := float64(w * h)
	mean /= n
	variance := square/n - mean*mean
	var entropy float64
	for _, count := range levels {
		if count > 0 {
			entropy -= count / n * math.Log2(count/n)
		}
	}
	if entropy < 7 || entropy > 7.95 {
		t.Errorf("an entropy of %.2f bits, want that of a well exposed photo", entropy)
	}
	if clipped := (levels[0] + levels[255]) / n; clipped > 0.02 {
		t.Errorf("%.1f %% of the pixels are black or white", 100*clipped)
	}
	// How unlike each other pixels are this far apart: of noise it is the same at any
	// distance, of what has no detail 0 at the smallest.
	unlike := func(distance int, edge float64) (half, edges float64) {
		var sum, count float64
		for y := range h {
			for x := range w - distance {
				d := green(x, y) - green(x+distance, y)
				sum += d * d
				count++
				if math.Abs(d) > edge {
					edges++
				}
			}
		}
		return sum / count / 2 / variance, edges / count
	}
	last := 0.0
	for distance := 1; distance <= 64; distance *= 2 {
		got, edges := unlike(distance, 60)
		t.Logf("%d pixels apart: %.3f of the variance, %.1f %% edges", distance, got, 100*edges)
		if distance == 1 && (got < 0.02 || got > 0.15 || edges < 0.005 || edges > 0.05) {
			t.Errorf("neighbours are unlike by %.3f of the variance, %.1f %% of them edges", got, 100*edges)
		}
		if got < last*1.1 {
			t.Errorf("%d pixels apart: %.3f of the variance, and %.3f at half of that", distance, got, last)
		}
		last = got
	}
}

func TestPSNR(t *testing.T) {
	flat := func(w, h int, c color.Color) *image.RGBA {
		m := image.NewRGBA(image.Rect(0, 0, w, h))
		draw.Draw(m, m.Rect, image.NewUniform(c), image.Point{}, draw.Src)
		return m
	}
	grey := flat(4, 4, color.Gray{Y: 100})
	oneOff := flat(4, 4, color.Gray{Y: 100})
	oneOff.Pix[4*5+2] += 16 // 16²/48 of one in 48
	sub := flat(8, 8, color.White)
	draw.Draw(sub, image.Rect(2, 3, 6, 7), image.NewUniform(color.Gray{Y: 110}), image.Point{}, draw.Src)
	tests := []struct {
		name string
		a, b image.Image
		want float64
	}{
		{"equal", grey, flat(4, 4, color.Gray{Y: 100}), math.Inf(1)},
		{"black and white", flat(3, 5, color.Black), flat(3, 5, color.White), 0},
		{"all ten off", grey, flat(4, 4, color.Gray{Y: 110}), 20 * math.Log10(25.5)},
		{"one of 48 bytes off by 16", grey, oneOff, 10 * math.Log10(255*255/(256./48))},
		{"another type", image.NewGray(image.Rect(0, 0, 4, 4)), flat(4, 4, color.Gray{Y: 10}), 20 * math.Log10(25.5)},
		{"a part of one", grey, sub.SubImage(image.Rect(2, 3, 6, 7)), 20 * math.Log10(25.5)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range [][2]image.Image{{tt.a, tt.b}, {tt.b, tt.a}} {
				if got, err := photo.PSNR(pair[0], pair[1]); err != nil || got != tt.want && math.Abs(got-tt.want) > 1e-9 {
					t.Errorf("%v dB, error %v; want %v", got, err, tt.want)
				}
			}
		})
	}
	for _, b := range []image.Image{flat(4, 5, color.Black), flat(5, 4, color.Black), flat(0, 0, color.Black)} {
		if got, err := photo.PSNR(grey, b); err == nil {
			t.Errorf("pictures of other dimensions: %v dB", got)
		}
	}
	if got, err := photo.PSNR(flat(0, 0, color.Black), flat(0, 0, color.Black)); err == nil {
		t.Errorf("no pixels: %v dB", got)
	}
}
