package workload

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"strconv"
	"sync"
)

// The largest picture that a guest decodes: bytes of the file, pixels of a side and
// pixels in all.
const (
	MaxImageFile   = 64 << 20
	MaxImageSide   = 16384
	MaxImagePixels = 40_000_000
)

// An ImageOp is what is done to a picture: the value of /op= in a benchmark's name.
type ImageOp string

const (
	Resize   ImageOp = "resize"   // to 800x600, by Catmull-Rom
	Rotate   ImageOp = "rotate"   // by 90 degrees clockwise
	Blur     ImageOp = "blur"     // by a Gaussian of radius 5 and a sigma of 5/3
	Compress ImageOp = "compress" // to a JPEG of quality 80 and subsampling 4:2:0
)

// ImageOps returns all of them, in the article's order.
func ImageOps() []ImageOp { return []ImageOp{Resize, Rotate, Blur, Compress} }

// imageArgs are what the guests are told of each.
var imageArgs = map[ImageOp]string{Resize: "800 600", Rotate: "90", Blur: "5", Compress: "80"}

// Size returns what a picture of so many pixels is after it.
func (o ImageOp) Size(width, height int) (w, h int) {
	switch o {
	case Resize:
		return 800, 600
	case Rotate:
		return height, width
	}
	return width, height
}

func (o ImageOp) check() error {
	if _, ok := imageArgs[o]; !ok {
		return fmt.Errorf("workload image: %q is none of %v", string(o), ImageOps())
	}
	return nil
}

// An ImageJudge returns an error where result, whose dimensions are right, is not what
// op should make of a picture. It may be called from several goroutines.
type ImageJudge func(op ImageOp, result image.Image) error

// imageBlock is how much of a file or of a result is told at once, in bytes.
const imageBlock = 1 << 20

// bytesPerPixel of what the guests keep.
var bytesPerPixel = map[Language]int{C: 3, Go: 4}

// A Picture is what an instance of an image guest has been given and has made of it,
// so that what it answers, and every byte of its results, can be compared with what
// is right. What is asked about it are workloads, asked of one instance and checked one
// after the other; whatever instances of a guest answer on one runtime is alike.
type Picture struct {
	guest         *Guest
	file          []byte
	width, height int
	judge         ImageJudge

	mu    sync.Mutex
	last  *made              // what the instance has, nil where that is not known
	right map[ImageOp][]byte // the results that were judged
}

// made is what was answered to a PictureOp.
type made struct {
	op      *PictureOp
	size    int
	samples []byte
}

// NewPicture returns a picture that no instance has been given yet, of a file that is
// a JPEG or a PNG and must not be changed. The program has to import image/jpeg, and
// image/png where that is what the file is, as image.Decode wants it: package photo
// does, and this one would have every engine's host carry them. What is made of it is right if judge says
// so. The guest in C is built without SIMD or, with simd, to use it; that in Go is not
// to be had with simd, and its compiler has none for modules.
func NewPicture(l Language, simd bool, file []byte, judge ImageJudge) (*Picture, error) {
	width, height, err := imageSize(file)
	if err != nil {
		return nil, err
	}
	return &Picture{guest: imageGuest(l, simd), file: file, width: width, height: height, judge: judge, right: map[ImageOp][]byte{}}, nil
}

func imageGuest(l Language, simd bool) *Guest {
	g := &Guest{name: "image", language: l, in: []Language{C, Go}, modules: forms[Go]}
	if simd {
		g.program, g.in = "image-simd", []Language{C}
	}
	return g
}

// imageSize returns the dimensions that the file begins with, where the guests should
// decode it.
func imageSize(file []byte) (width, height int, err error) {
	if len(file) > MaxImageFile {
		return 0, 0, fmt.Errorf("workload image: the file has %d bytes, more than %d", len(file), MaxImageFile)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(file))
	if errors.Is(err, image.ErrFormat) {
		err = fmt.Errorf("%w: it is no JPEG or PNG, or this program does not import image/jpeg or image/png", err)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("workload image: reading the begin of the file: %w", err)
	}
	if format != "jpeg" && format != "png" {
		return 0, 0, fmt.Errorf("workload image: the file is a %s, not a JPEG or a PNG", format)
	}
	if max(c.Width, c.Height) > MaxImageSide || c.Width*c.Height > MaxImagePixels {
		return 0, 0, fmt.Errorf("workload image: %dx%d pixels are more than %d in a side or %d in all", c.Width, c.Height, MaxImageSide, MaxImagePixels)
	}
	return c.Width, c.Height, nil
}

// Size returns the dimensions of the picture in pixels.
func (p *Picture) Size() (width, height int) { return p.width, p.height }

// Parts returns how many parts the file is given in.
func (p *Picture) Parts() int { return (len(p.file) + imageBlock - 1) / imageBlock }

// Put gives the part of the file with the index i, from 0 to before Parts. They are
// given in order; the first begins anew.
func (p *Picture) Put(i int) *PictureOp {
	from := i * imageBlock
	part := p.file[from:min(from+imageBlock, len(p.file))]
	return &PictureOp{
		picture: p,
		request: append(fmt.Appendf(nil, "put %d %d\n", from, len(p.file)), part...),
		want:    fmt.Sprintf("put %d", from+len(part)),
	}
}

// Decode makes pixels of the file that was put.
func (p *Picture) Decode() *PictureOp {
	return &PictureOp{picture: p, request: []byte("decode\n"), want: fmt.Sprintf("decode %d %d", p.width, p.height)}
}

// Op does op to the pixels that were decoded. The answer has 64 bytes of the result,
// at places that seed determines, which Check compares once a Result was judged. A
// caller that adds 64 to the seed of each request has it compared at other places, and
// tells an answer that was given before; not a result that the guest has kept, of
// which the bytes are right at any place.
func (p *Picture) Op(op ImageOp, seed uint32) (*PictureOp, error) {
	if err := op.check(); err != nil {
		return nil, err
	}
	w, h := op.Size(p.width, p.height)
	o := &PictureOp{picture: p, op: op, seed: seed, request: fmt.Appendf(nil, "%s %s %d\n", op, imageArgs[op], seed)}
	if o.want = fmt.Sprintf("%s %d %d 0", op, w, h); op != Compress {
		o.size = w * h * bytesPerPixel[p.guest.language]
		o.want = fmt.Sprintf("%s %d %d %d", op, w, h, bytesPerPixel[p.guest.language])
	}
	return o, nil
}

// An InstanceCall asks an instance and returns its answer, as runtime.Instance.Call does.
type InstanceCall = func(ctx context.Context, request []byte) (answer []byte, err error)

// Load puts the whole file and has it decoded.
func (p *Picture) Load(ctx context.Context, call InstanceCall) error {
	for i := range p.Parts() {
		if err := p.Put(i).ask(ctx, call); err != nil {
			return err
		}
	}
	return p.Decode().ask(ctx, call)
}

// Result fetches what the Op made whose answer Check took last, and returns an error
// where the judge does, where it is not what its answer told of it, or where a byte of
// it is not what it was the first time. It changes nothing that an instance has.
func (p *Picture) Result(ctx context.Context, call InstanceCall) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.last
	if last == nil {
		return fmt.Errorf("workload %s: there is no result, for no Op was answered since the picture was decoded", p.guest.label())
	}
	data, err := p.fetch(ctx, last.size, call)
	if err == nil {
		err = p.settle(last, data)
	}
	if err != nil {
		return fmt.Errorf("workload %s: the result of %s: %w", p.guest.label(), last.op.op, err)
	}
	return nil
}

// fetch gets size bytes of the last result.
func (p *Picture) fetch(ctx context.Context, size int, call InstanceCall) ([]byte, error) {
	data := make([]byte, 0, size)
	for len(data) < size {
		count := min(imageBlock, size-len(data))
		answer, err := call(ctx, fmt.Appendf(nil, "get %d %d\n", len(data), count))
		if err != nil {
			return nil, err
		}
		if len(answer) != count {
			return nil, p.guest.compare(answer, fmt.Appendf(nil, "%d bytes from %d on", count, len(data)))
		}
		data = append(data, answer...)
	}
	return data, nil
}

// settle takes the data of a result, or returns what is wrong with it.
func (p *Picture) settle(m *made, data []byte) error {
	if got := sample(data, m.op.seed); !bytes.Equal(got, m.samples) {
		return fmt.Errorf("its bytes are not those of its answer: %x, want %x", got, m.samples)
	}
	before, known := p.right[m.op.op]
	if !known {
		if err := p.inspect(m.op.op, data); err != nil {
			return err
		}
		p.right[m.op.op] = data
		return nil
	}
	// Check took no answer that tells of another size.
	if d := differ(data, before); d >= 0 {
		return fmt.Errorf("byte %d is %#02x, and was %#02x", d, data[d], before[d])
	}
	return nil
}

// inspect makes an image of the data and has it judged.
func (p *Picture) inspect(op ImageOp, data []byte) error {
	w, h := op.Size(p.width, p.height)
	if op == Compress {
		return judgeJPEG(op, w, h, data, p.judge)
	}
	pixels, each := image.NewRGBA(image.Rect(0, 0, w, h)), bytesPerPixel[p.guest.language]
	for i := range w * h {
		to := pixels.Pix[4*i : 4*i+4]
		to[3] = 255
		if copy(to, data[each*i:each*(i+1)]); to[3] != 255 {
			return fmt.Errorf("pixel %d,%d has an alpha of %d, want 255", i%w, i/w, to[3])
		}
	}
	return p.judge(op, pixels)
}

// judgeJPEG has a file judged that should be a JPEG of these dimensions. It begins with
// them, and nothing is decoded that has others: to decode takes the memory of as many
// pixels as a file claims to have.
func judgeJPEG(op ImageOp, w, h int, file []byte, judge ImageJudge) error {
	c, format, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("decoding it: %w", err)
	}
	if format != "jpeg" {
		return fmt.Errorf("it is a %s, want a JPEG", format)
	}
	if c.Width != w || c.Height != h {
		return fmt.Errorf("it has %dx%d pixels, want %dx%d", c.Width, c.Height, w, h)
	}
	result, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return fmt.Errorf("decoding it: %w", err)
	}
	return judge(op, result)
}

// imageSamples is how many bytes of its result an answer has.
const imageSamples = 64

// sample returns the bytes of data of which an answer should tell.
func sample(data []byte, seed uint32) []byte {
	samples := make([]byte, imageSamples)
	for i := range samples {
		samples[i] = data[scatter(seed+uint32(i))%uint32(len(data))]
	}
	return samples
}

// A PictureOp is one thing that is asked about a Picture. Check tells the Picture what
// an instance has when the answer is right.
type PictureOp struct {
	picture *Picture
	request []byte
	want    string // the answer or, where op is not "", what it begins with

	op   ImageOp
	seed uint32
	size int // of the result, in bytes, 0 where only the guest knows it
}

// Name returns "image".
func (o *PictureOp) Name() string { return o.picture.guest.name }

// Language returns what the guest is written in.
func (o *PictureOp) Language() Language { return o.picture.guest.language }

// Artifact returns the guest as Guest.Artifact does.
func (o *PictureOp) Artifact(ctx context.Context, f Form) (string, error) {
	return o.picture.guest.Artifact(ctx, f)
}

// Request returns what the guest is asked.
func (o *PictureOp) Request() []byte { return o.request }

// Check compares answer with the right one, as Guest.Check does. Of an Op whose Result
// was not judged yet that is the dimensions and the size.
func (o *PictureOp) Check(answer []byte) error {
	p := o.picture
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = nil
	if o.op == "" {
		return p.guest.compare(answer, []byte(o.want))
	}
	if right, ok := p.right[o.op]; ok {
		if err := p.guest.compare(answer, fmt.Appendf(nil, "%s %d %x", o.want, len(right), sample(right, o.seed))); err != nil {
			return err
		}
		p.last = &made{op: o, size: len(right), samples: sample(right, o.seed)}
		return nil
	}
	m, ok := o.parse(answer)
	if !ok {
		size := "SIZE"
		if o.size > 0 {
			size = fmt.Sprint(o.size)
		}
		return p.guest.compare(answer, fmt.Appendf(nil, "%s %s HEX", o.want, size))
	}
	p.last = m
	return nil
}

// parse returns what an answer tells of a result that is not known.
func (o *PictureOp) parse(answer []byte) (*made, bool) {
	fields := bytes.Split(answer, []byte(" "))
	if len(fields) != 6 || !bytes.Equal(bytes.Join(fields[:4], []byte(" ")), []byte(o.want)) {
		return nil, false
	}
	size, err := strconv.Atoi(string(fields[4]))
	if err != nil || o.size > 0 && size != o.size || size < 1 || size > mostBytes(o.picture.width, o.picture.height) {
		return nil, false
	}
	samples, err := hex.DecodeString(string(fields[5]))
	return &made{op: o, size: size, samples: samples}, err == nil && len(samples) == imageSamples
}

// mostBytes is what no result of a picture of so many pixels exceeds: a JPEG that has
// more than its pixels would take is none of quality 80.
func mostBytes(width, height int) int { return max(4*width*height, 4*800*600) + 4096 }

// ask asks it and checks the answer.
func (o *PictureOp) ask(ctx context.Context, call InstanceCall) error {
	answer, err := call(ctx, o.request)
	if err != nil {
		return err
	}
	return o.Check(answer)
}

// Image is the guest that decodes a file, a JPEG or a PNG, does op to it and answers
// with the JPEG of that, of quality 80: what a service is asked. Unlike a Picture's,
// its requests have all that they need, and may be served at the same time. The file
// must not be changed. An answer is right if judge says so of it, which is asked only
// of one that is not, byte for byte, the last that was right. What simd is, NewPicture
// tells.
func Image(l Language, simd bool, op ImageOp, file []byte, judge ImageJudge) (*Guest, error) {
	if err := op.check(); err != nil {
		return nil, err
	}
	width, height, err := imageSize(file)
	if err != nil {
		return nil, err
	}
	w, h := op.Size(width, height)
	g := imageGuest(l, simd)
	g.request = append(fmt.Appendf(nil, "whole %s %s\n", op, imageArgs[op]), file...)
	judgeAnswer := func(answer []byte) error {
		if most := mostBytes(width, height); len(answer) > most {
			return fmt.Errorf("it has %d bytes, more than %d", len(answer), most)
		}
		return judgeJPEG(op, w, h, answer, judge)
	}
	var mu sync.Mutex
	var right []byte
	g.judge = func(answer []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if bytes.Equal(answer, right) {
			return nil
		}
		if err := judgeAnswer(answer); err != nil {
			var told *GuestError
			if errors.As(g.compare(answer, nil), &told) {
				return told
			}
			return fmt.Errorf("workload %s: %s: %w", g.label(), op, err)
		}
		right = bytes.Clone(answer)
		return nil
	}
	return g, nil
}
