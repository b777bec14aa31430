// Image is a guest: the request is a line, and after some lines bytes. `put OFFSET
// TOTAL` and part of a file, `decode`, what is done to the picture, `OP ... SEED`, and
// `get OFFSET COUNT` of what was made of it are stages that are kept. `whole OP ...` and
// a file do all at once, apart from these, and answer with a file.
//
// A picture is an image.RGBA: what is transparent lies on black.
package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

const (
	mostFile    = 64 << 20
	mostGet     = 1 << 20
	mostSide    = 16384
	mostPixels  = 40_000_000
	mostBetween = 16_000_000
	mostRadius  = 32
	quality     = 80
	samples     = 64
)

// An op is what is done to a picture.
type op struct {
	name   string
	w, h   int // of resize
	extent int // the radius of blur, the quality of compress
}

// parse reads the fields of what is to be done.
func parse(fields []string) (o op, ok bool) {
	o.name = fields[0]
	one := func(i, most int) int {
		n, good := request.Number(fields[i], 1, int64(most))
		ok = ok && good
		return int(n)
	}
	ok = true
	switch {
	case o.name == "resize" && len(fields) == 3:
		o.w, o.h = one(1, mostSide), one(2, mostSide)
		ok = ok && o.w*o.h <= mostPixels
	case o.name == "rotate" && len(fields) == 2:
		ok = fields[1] == "90"
	case o.name == "blur" && len(fields) == 2:
		o.extent = one(1, mostRadius)
	case o.name == "compress" && len(fields) == 2:
		o.extent = one(1, 100)
	default:
		ok = false
	}
	return o, ok
}

// A result is what was made of a picture: in pixels, or else as a file.
type result struct {
	picture *image.RGBA
	file    bytes.Buffer
	w, h    int
	pixels  bool
}

// bytes returns the rows of pixels, without gaps, or the file.
func (r *result) bytes() []byte {
	if r.pixels {
		return r.picture.Pix
	}
	return r.file.Bytes()
}

// sized returns a picture of that size, in the memory of p where it fits.
func sized(p *image.RGBA, w, h int) *image.RGBA {
	size := 4 * w * h
	if p == nil || cap(p.Pix) < size {
		return image.NewRGBA(image.Rect(0, 0, w, h))
	}
	return &image.RGBA{Pix: p.Pix[:size], Stride: 4 * w, Rect: image.Rect(0, 0, w, h)}
}

// make makes of a picture what is asked; after an error the result is not to be used.
func (r *result) make(o op, p *image.RGBA) error {
	r.w, r.h = p.Rect.Dx(), p.Rect.Dy()
	r.pixels = o.name != "compress"
	switch o.name {
	case "compress":
		r.file.Reset()
		return jpeg.Encode(&r.file, p, &jpeg.Options{Quality: o.extent})
	case "resize":
		if o.w*r.h > mostBetween {
			return fmt.Errorf("resize: %d columns of %d rows: want at most %d pixels between the passes", o.w, r.h, mostBetween)
		}
		r.w, r.h = o.w, o.h
	case "rotate":
		r.w, r.h = r.h, r.w
	}
	r.picture = sized(r.picture, r.w, r.h)
	switch o.name {
	case "resize":
		resize(r.picture, p)
	case "rotate":
		rotate(r.picture, p)
	case "blur":
		blur(r.picture, p, o.extent)
	}
	return nil
}

// A format is a kind of file.
type format struct {
	begin  string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var formats = []format{
	{"\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
	{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
}

// decode decodes a file into the memory of a picture, where it fits. Its header is
// read before memory is taken for it.
func decode(file []byte, into *image.RGBA) (*image.RGBA, error) {
	i := slices.IndexFunc(formats, func(f format) bool { return bytes.HasPrefix(file, []byte(f.begin)) })
	if i < 0 {
		return nil, fmt.Errorf("decode: the %d bytes are no JPEG or PNG file", len(file))
	}
	c, err := formats[i].config(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if min(c.Width, c.Height) < 1 || max(c.Width, c.Height) > mostSide || c.Width*c.Height > mostPixels {
		return nil, fmt.Errorf("decode: a picture of %d x %d: want 1 to %d pixels on each side, and at most %d in all", c.Width, c.Height, mostSide, mostPixels)
	}
	p, err := formats[i].decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	into = sized(into, c.Width, c.Height)
	draw.Draw(into, into.Rect, p, p.Bounds().Min, draw.Src)
	return into, nil
}

// The stages are kept, so they come one at a time.
var stages struct {
	sync.Mutex
	file    []byte
	total   int64
	decoded *image.RGBA
	last    *result // nil where there is none
	spare   result
}

func put(dst []byte, offset, total int64, part []byte) ([]byte, error) {
	s := &stages
	if offset == 0 {
		s.total = total
		s.file = s.file[:0]
		if int64(cap(s.file)) < total {
			s.file = nil // the collector may have it
			s.file = make([]byte, 0, total)
		}
	}
	if have := int64(len(s.file)); offset != have || total != s.total || int64(len(part)) > total-have {
		return nil, fmt.Errorf("put: %d bytes at %d of %d: there are %d of %d", len(part), offset, total, have, s.total)
	}
	s.file = append(s.file, part...)
	return fmt.Appendf(dst, "put %d", len(s.file)), nil
}

func decodePut(dst []byte) ([]byte, error) {
	s := &stages
	if s.total == 0 || int64(len(s.file)) < s.total {
		return nil, fmt.Errorf("decode: of the file's %d bytes %d were put", s.total, len(s.file))
	}
	into := s.decoded
	s.decoded = nil
	p, err := decode(s.file, into)
	if err != nil {
		return nil, err
	}
	s.decoded = p
	return fmt.Appendf(dst, "decode %d %d", p.Rect.Dx(), p.Rect.Dy()), nil
}

// stage makes of what was decoded what is asked, and answers with some of its bytes.
func stage(dst []byte, o op, seed uint32) ([]byte, error) {
	s := &stages
	s.last = nil
	if s.decoded == nil {
		return nil, errors.New(o.name + ": no picture was decoded")
	}
	r := &s.spare
	if err := r.make(o, s.decoded); err != nil {
		return nil, err
	}
	s.last = r
	b := r.bytes()
	depth := 0
	if r.pixels {
		depth = 4
	}
	dst = fmt.Appendf(dst, "%s %d %d %d %d ", o.name, r.w, r.h, depth, len(b))
	for i := range uint32(samples) {
		at := number.Scatter(seed+i) % uint32(len(b))
		dst = hex.AppendEncode(dst, b[at:at+1])
	}
	return dst, nil
}

func get(dst []byte, offset, count int64) ([]byte, error) {
	var b []byte
	if stages.last != nil {
		b = stages.last.bytes()
	}
	if size := int64(len(b)); offset > size || count > size-offset {
		return nil, fmt.Errorf("get: %d bytes at %d of a result of %d", count, offset, size)
	}
	return append(dst, b[offset:offset+count]...), nil
}

// whole answers with a file.
func whole(dst []byte, o op, file []byte) ([]byte, error) {
	p, err := decode(file, nil)
	if err != nil {
		return nil, err
	}
	var r result
	if err := r.make(o, p); err != nil {
		return nil, err
	}
	if !r.pixels {
		return append(dst, r.file.Bytes()...), nil
	}
	b := bytes.NewBuffer(dst)
	err = jpeg.Encode(b, r.picture, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

// errUnknown is about a request that is not of the form told.
var errUnknown = errors.New("unknown request")

// do answers a request whose line has these fields.
func do(dst []byte, fields []string, rest []byte) ([]byte, error) {
	name, n := fields[0], len(fields)
	if name == "whole" && n > 1 {
		o, ok := parse(fields[1:])
		if !ok {
			return nil, errUnknown
		}
		return whole(dst, o, rest)
	}
	stages.Lock()
	defer stages.Unlock()
	switch {
	case name == "put" && n == 3:
		offset, ok := request.Number(fields[1], 0, mostFile)
		total, good := request.Number(fields[2], 1, mostFile)
		if ok && good {
			return put(dst, offset, total, rest)
		}
	case len(rest) > 0:
	case name == "decode" && n == 1:
		return decodePut(dst)
	case name == "get" && n == 3:
		offset, ok := request.Number(fields[1], 0, math.MaxUint32)
		count, good := request.Number(fields[2], 0, mostGet)
		if ok && good {
			return get(dst, offset, count)
		}
	case n > 1:
		o, ok := parse(fields[:n-1])
		seed, good := request.Number(fields[n-1], 0, math.MaxUint32)
		if ok && good {
			return stage(dst, o, uint32(seed))
		}
	}
	return nil, errUnknown
}

const mostFields = 4

// divide returns the fields of a request's line, and what comes after it.
func divide(asked []byte) (fields []string, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(asked, []byte("\n"))
	n := 1 + bytes.Count(line, []byte(" "))
	if !ok || n > mostFields {
		return nil, nil, false
	}
	fields, ok = request.Split(line, n)
	return fields, rest, ok
}

func answer(dst, asked []byte) []byte {
	err := errUnknown
	if fields, rest, ok := divide(asked); ok {
		var all []byte
		if all, err = do(dst, fields, rest); err == nil {
			return all
		}
	}
	if err == errUnknown {
		err = request.Refuse(asked, "a line of put OFFSET TOTAL and bytes, decode, resize W H SEED, rotate 90 SEED, blur R SEED, compress Q SEED, "+
			"get OFFSET COUNT, or whole OP and a file; TOTAL to 67108864, COUNT to 1048576, W and H to 16384 and 40000000 pixels, R to 32, Q to 100")
	}
	return request.Fail(dst, err)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
