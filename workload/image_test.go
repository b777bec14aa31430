package workload_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
)

// A painter answers as an image guest does, from results that it has beforehand.
type painter struct {
	results map[workload.ImageOp][]byte
	file    []byte
	last    []byte
	spoil   func(request string, answer []byte) []byte // changes an answer, where it is not nil
}

const paintedWidth, paintedHeight = 120, 90

// painted is a JPEG of which a painter has results.
func painted(t *testing.T, w, h int) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(scattered(uint32(i)))
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// claiming is file but for the dimensions that it claims to have.
func claiming(file []byte, w, h uint16) []byte {
	file = bytes.Clone(file)
	at := bytes.Index(file, []byte{0xff, 0xc0}) + 5
	binary.BigEndian.PutUint16(file[at:], h)
	binary.BigEndian.PutUint16(file[at+2:], w)
	return file
}

// newPainter returns one whose pixels have so many bytes.
func newPainter(t *testing.T, each int) *painter {
	p := &painter{results: map[workload.ImageOp][]byte{workload.Compress: painted(t, paintedWidth, paintedHeight)}}
	for i, op := range []workload.ImageOp{workload.Resize, workload.Rotate, workload.Blur} {
		w, h := op.Size(paintedWidth, paintedHeight)
		pixels := make([]byte, w*h*each)
		for at := range pixels {
			if pixels[at] = byte(scattered(uint32(at + i))); each == 4 && at%4 == 3 {
				pixels[at] = 255
			}
		}
		p.results[op] = pixels
	}
	return p
}

func (p *painter) call(_ context.Context, request []byte) ([]byte, error) {
	line, rest, _ := bytes.Cut(request, []byte("\n"))
	answer := p.answer(string(line), rest)
	if p.spoil != nil {
		answer = p.spoil(string(line), answer)
	}
	return answer, nil
}

func (p *painter) answer(line string, rest []byte) []byte {
	fields := strings.Split(line, " ")
	number := func(i int) (n int) {
		fmt.Sscan(fields[i], &n)
		return n
	}
	switch fields[0] {
	case "put":
		p.file = append(p.file[:number(1)], rest...)
		return fmt.Appendf(nil, "put %d", len(p.file))
	case "decode":
		c, err := jpeg.DecodeConfig(bytes.NewReader(p.file))
		if err != nil {
			return []byte("error: decode: " + err.Error())
		}
		return fmt.Appendf(nil, "decode %d %d", c.Width, c.Height)
	case "get":
		return bytes.Clone(p.last[number(1) : number(1)+number(2)])
	}
	op := workload.ImageOp(fields[0])
	w, h := op.Size(paintedWidth, paintedHeight)
	each := len(p.results[workload.Blur]) / paintedWidth / paintedHeight
	if op == workload.Compress {
		each = 0
	}
	p.last = p.results[op]
	answer := fmt.Appendf(nil, "%s %d %d %d %d ", op, w, h, each, len(p.last))
	for i := range 64 {
		answer = fmt.Appendf(answer, "%02x", p.last[scattered(uint32(number(len(fields)-1)+i))%uint32(len(p.last))])
	}
	return answer
}

// do has an instance do something to a picture and checks what it answers.
func do(t *testing.T, p *workload.Picture, call workload.InstanceCall, op workload.ImageOp, seed uint32) error {
	t.Helper()
	o := must(p.Op(op, seed))(t)
	answer, err := call(t.Context(), o.Request())
	if err != nil {
		return err
	}
	return o.Check(answer)
}

func TestPicture(t *testing.T) {
	for l, each := range map[workload.Language]int{workload.C: 3, workload.Go: 4} {
		t.Run(string(l), func(t *testing.T) {
			fake := newPainter(t, each)
			var judged []workload.ImageOp
			judge := func(op workload.ImageOp, result image.Image) error {
				judged = append(judged, op)
				w, h := op.Size(paintedWidth, paintedHeight)
				if got := result.Bounds(); got != image.Rect(0, 0, w, h) {
					t.Errorf("%s: %v is judged", op, got)
				}
				pixels := fake.results[op]
				if op == workload.Compress {
					return nil
				}
				for _, at := range []image.Point{{0, 0}, {1, 0}, {0, 1}, {w - 1, h - 1}} {
					from := pixels[(at.Y*w+at.X)*each:]
					if got, want := result.At(at.X, at.Y), (color.RGBA{from[0], from[1], from[2], 255}); got != want {
						t.Errorf("%s: pixel %v is %v, want %v", op, at, got, want)
					}
				}
				return nil
			}
			p := must(workload.NewPicture(l, false, painted(t, paintedWidth, paintedHeight), judge))(t)
			if w, h := p.Size(); w != paintedWidth || h != paintedHeight {
				t.Errorf("it has %dx%d pixels", w, h)
			}
			if err := p.Result(t.Context(), fake.call); err == nil {
				t.Error("there is a result before anything was asked")
			}
			if err := p.Load(t.Context(), fake.call); err != nil {
				t.Fatal(err)
			}
			if err := p.Result(t.Context(), fake.call); err == nil {
				t.Error("there is a result of what was decoded alone")
			}
			for i, op := range append(workload.ImageOps(), workload.ImageOps()...) {
				for seed := range uint32(3) {
					if err := do(t, p, fake.call, op, seed*1_000_000_007); err != nil {
						t.Error(err)
					}
				}
				for range 2 {
					if err := p.Result(t.Context(), fake.call); err != nil {
						t.Error(err)
					}
				}
				if len(judged) != min(i+1, 4) {
					t.Errorf("%v were judged after %d operations", judged, i+1)
				}
			}
			if err := p.Load(t.Context(), fake.call); err != nil {
				t.Error(err)
			}
			if err := p.Result(t.Context(), fake.call); err == nil {
				t.Error("there is a result after the picture was decoded anew")
			}
		})
	}
}

// A file is put in parts of 1 MiB.
func TestPictureParts(t *testing.T) {
	file := append(painted(t, paintedWidth, paintedHeight), make([]byte, 2<<20)...)
	p := must(workload.NewPicture(workload.C, false, file, nil))(t)
	if p.Parts() != 3 {
		t.Fatalf("%d parts", p.Parts())
	}
	fake := newPainter(t, 3)
	if err := p.Load(t.Context(), fake.call); err != nil || !bytes.Equal(fake.file, file) {
		t.Errorf("%d of %d bytes came, error %v", len(fake.file), len(file), err)
	}
	if got, want := p.Put(1).Request(), fmt.Appendf(nil, "put %d %d\n", 1<<20, len(file)); !bytes.HasPrefix(got, want) || len(got) != len(want)+1<<20 {
		t.Errorf("%d bytes that begin %.40q, want %q", len(got), got, want)
	}
	if err := p.Put(1).Check([]byte("put 1048576")); err == nil {
		t.Error("a part that was not taken is taken for one that was")
	}
}

// Each fault is told, by what finds it first.
func TestPictureTellsFaults(t *testing.T) {
	refused, broken := errors.New("refused"), errors.New("broken")
	wrong, guest := new(*workload.WrongAnswer), new(*workload.GuestError)
	of := func(verb string, change func(answer []byte) []byte) func(*painter) {
		return func(p *painter) {
			p.spoil = func(request string, answer []byte) []byte {
				if strings.HasPrefix(request, verb+" ") {
					return change(answer)
				}
				return answer
			}
		}
	}
	replace := func(old, new string) func([]byte) []byte {
		return func(answer []byte) []byte { return bytes.Replace(answer, []byte(old), []byte(new), 1) }
	}
	says := func(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
	file := func(op workload.ImageOp, b []byte) func(*painter) { return func(p *painter) { p.results[op] = b } }
	flip := func(op workload.ImageOp, at uint32) func(*painter) {
		return func(p *painter) {
			p.results[op] = bytes.Clone(p.results[op])
			p.results[op][at] ^= 1
		}
	}
	blurSize := uint32(paintedWidth * paintedHeight * 4)
	sampled, unsampled := scattered(7)%blurSize, uint32(0) // of an answer to seed 7
	for unsampled%4 == 3 || isSampled(unsampled, 7, blurSize) {
		unsampled++
	}
	tests := []struct {
		name  string
		op    workload.ImageOp
		judge error
		fault func(*painter)
		late  bool   // it comes when the result is known
		in    string // what tells it: check or result
		want  string
		as    any
	}{
		{"other dimensions", workload.Resize, nil, of("resize", replace("800 600", "600 800")), false, "check", "resize 800 600 4 1920000", wrong},
		{"not turned", workload.Rotate, nil, of("rotate", replace("90 120", "120 90")), false, "check", "rotate 90 120", wrong},
		{"another operation", workload.Rotate, nil, of("rotate", replace("rotate", "resize")), false, "check", "rotate", wrong},
		{"other pixels", workload.Blur, nil, of("blur", replace("90 4 43200", "90 3 32400")), false, "check", "4 43200", wrong},
		{"another size", workload.Blur, nil, of("blur", replace("43200", "43204")), false, "check", "43200", wrong},
		{"no size", workload.Compress, nil, func(p *painter) {
			p.spoil = func(string, []byte) []byte { return []byte("compress 120 90 0 0 " + strings.Repeat("00", 64)) }
		}, false, "check", "SIZE", wrong},
		{"a size beyond reason", workload.Compress, nil, func(p *painter) {
			p.spoil = func(string, []byte) []byte {
				return []byte("compress 120 90 0 99999999999 " + strings.Repeat("00", 64))
			}
		}, false, "check", "SIZE", wrong},
		{"a byte too few", workload.Blur, nil, of("blur", func(b []byte) []byte { return b[:len(b)-2] }), false, "check", "HEX", wrong},
		{"more than it", workload.Blur, nil, of("blur", func(b []byte) []byte { return append(b, '\n') }), false, "check", "HEX", wrong},
		{"empty", workload.Blur, nil, of("blur", says("")), false, "check", "HEX", wrong},
		{"an error", workload.Blur, nil, of("blur", says("error: no memory")), false, "check", "no memory", guest},
		{"an error when it is known", workload.Blur, nil, of("blur", says("error: no memory")), true, "check", "no memory", guest},
		{"samples of something else", workload.Blur, nil, of("blur", func(b []byte) []byte { return append(b[:len(b)-2], "00"...) }), false, "result", "not those of its answer", nil},
		{"a byte at a sampled place", workload.Blur, nil, flip(workload.Blur, sampled), true, "check", "blur 120 90 4 43200", wrong},
		{"a byte at another place", workload.Blur, nil, flip(workload.Blur, unsampled), true, "result", fmt.Sprint("byte ", unsampled, " is"), nil},
		{"another file", workload.Compress, nil, file(workload.Compress, painted(t, 120, 91)), true, "check", "compress 120 90 0", wrong},
		{"what the judge refuses", workload.Blur, refused, nil, false, "result", "refused", nil},
		{"transparent", workload.Blur, nil, flip(workload.Blur, 4*121+3), false, "result", "pixel 1,1 has an alpha of 254", nil},
		{"no JPEG", workload.Compress, nil, file(workload.Compress, bytes.Repeat([]byte("x"), 1000)), false, "result", "decoding it", nil},
		{"a JPEG of other dimensions", workload.Compress, nil, file(workload.Compress, painted(t, 90, 120)), false, "result", "90x120 pixels, want 120x90", nil},
		// Decoding it would tell that it is cut short, after making room for all pixels.
		{"a JPEG that claims to be huge", workload.Compress, nil, file(workload.Compress, claiming(painted(t, 8, 8), 10000, 10000)), false, "result", "10000x10000 pixels, want 120x90", nil},
		{"a picture that is no JPEG", workload.Compress, nil, file(workload.Compress, pngOf(120, 90)), false, "result", "it is a png, want a JPEG", nil},
		{"a JPEG cut short", workload.Compress, nil, func(p *painter) {
			p.results[workload.Compress] = p.results[workload.Compress][:2000]
		}, false, "result", "decoding it", nil},
		{"less than is asked for", workload.Resize, nil, of("get", func(b []byte) []byte { return b[1:] }), false, "result", "bytes from 0 on", wrong},
		{"an error about it", workload.Resize, nil, of("get", says("error: get: nothing there")), false, "result", "nothing there", guest},
		{"that of another operation", workload.Blur, nil, func(p *painter) {
			p.spoil = func(request string, answer []byte) []byte {
				p.last = p.results[workload.Rotate] // as many bytes
				return answer
			}
		}, false, "result", "not those of its answer", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := newPainter(t, 4)
			p := must(workload.NewPicture(workload.Go, false, painted(t, paintedWidth, paintedHeight), func(workload.ImageOp, image.Image) error { return tt.judge }))(t)
			if err := p.Load(t.Context(), fake.call); err != nil {
				t.Fatal(err)
			}
			if tt.late {
				if err := errors.Join(do(t, p, fake.call, tt.op, 1), p.Result(t.Context(), fake.call)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.fault != nil {
				tt.fault(fake)
			}
			err, in := do(t, p, fake.call, tt.op, 7), "check"
			if err == nil {
				err, in = p.Result(t.Context(), fake.call), "result"
			} else if left := p.Result(t.Context(), fake.call); left == nil {
				t.Error("there is a result of what was answered wrong")
			}
			if err == nil {
				in = ""
			}
			if in != tt.in || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q: error %v; want %q: %s", in, err, tt.in, tt.want)
			}
			if tt.as != nil && !errors.As(err, tt.as) {
				t.Errorf("%v is no %T", err, tt.as)
			}
			if tt.judge != nil && !errors.Is(err, tt.judge) {
				t.Errorf("%v does not wrap its cause", err)
			}
		})
	}
	p := must(workload.NewPicture(workload.Go, false, painted(t, paintedWidth, paintedHeight), nil))(t)
	fails := func(context.Context, []byte) ([]byte, error) { return nil, broken }
	if err := p.Load(t.Context(), fails); !errors.Is(err, broken) {
		t.Errorf("Load: %v does not wrap its cause", err)
	}
	if err := do(t, p, newPainter(t, 4).call, workload.Blur, 1); err != nil {
		t.Fatal(err)
	}
	if err := p.Result(t.Context(), fails); !errors.Is(err, broken) {
		t.Errorf("Result: %v does not wrap its cause", err)
	}
	if err := p.Decode().Check([]byte("error: decode: cut short")); !errors.As(err, guest) || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a file that cannot be decoded: %v", err)
	}
	if err := p.Decode().Check([]byte("decode 90 120")); !errors.As(err, wrong) {
		t.Errorf("one that was decoded wrong: %v", err)
	}
}

// isSampled tells whether an answer to seed has the byte at a place.
func isSampled(at, seed, size uint32) bool {
	for i := range uint32(64) {
		if scattered(seed+i)%size == at {
			return true
		}
	}
	return false
}

func TestPicturesThatAreNone(t *testing.T) {
	var moving bytes.Buffer
	if err := gif.Encode(&moving, image.NewGray(image.Rect(0, 0, 4, 4)), nil); err != nil {
		t.Fatal(err)
	}
	for want, file := range map[string][]byte{
		"format":                        []byte("no image"),
		"reading the begin":             nil,
		"100000x100000 pixels":          pngOf(100000, 100000),
		"16385x1 pixels":                pngOf(16385, 1),
		"8000x8000 pixels":              pngOf(8000, 8000),
		"65500x65500 pixels":            claiming(painted(t, 8, 8), 65500, 65500),
		"gif, not":                      moving.Bytes(),
		"67108865 bytes, more than 671": make([]byte, 64<<20+1),
	} {
		_, err := workload.NewPicture(workload.C, false, file, nil)
		_, again := workload.Image(workload.C, false, workload.Blur, file, nil)
		for _, err := range []error{err, again} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v does not tell %q", err, want)
			}
		}
	}
	file := painted(t, 8, 8)
	if _, err := workload.Image(workload.C, false, "sharpen", file, nil); err == nil || !strings.Contains(err.Error(), "sharpen") {
		t.Errorf("an operation that there is not: %v", err)
	}
	if _, err := must(workload.NewPicture(workload.C, false, file, nil))(t).Op("sharpen", 1); err == nil || !strings.Contains(err.Error(), "sharpen") {
		t.Errorf("an operation that there is not: %v", err)
	}
}

func TestImageForms(t *testing.T) {
	file := painted(t, 8, 8)
	tests := []struct {
		language workload.Language
		simd     bool
		form     workload.Form
		why      string
	}{
		{workload.Node, false, workload.Executable, "workload image as executable is not available: it is made in [c go] alone"},
		{workload.Python, true, workload.RootFS, "[c] alone"},
		{workload.Go, true, workload.Command, "workload image (image-simd) as command is not available: it is made in [c] alone"},
		{workload.C, false, workload.Server, "choose a guest of [go]"},
		{workload.C, true, workload.ServerRootFS, "made in that form in no language"},
	}
	for _, tt := range tests {
		p := must(workload.NewPicture(tt.language, tt.simd, file, nil))(t)
		g := must(workload.Image(tt.language, tt.simd, workload.Blur, file, nil))(t)
		for _, w := range []workload.Workload{p.Decode(), g} {
			_, err := w.Artifact(t.Context(), tt.form)
			if !errors.Is(err, workload.ErrNoForm) || !errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%s as %s, simd %v: %v; want %s", tt.language, tt.form, tt.simd, err, tt.why)
			}
			if w.Name() != "image" {
				t.Errorf("it is called %s", w.Name())
			}
		}
		if l := p.Decode().Language(); l != tt.language {
			t.Errorf("it is in %s, want %s", l, tt.language)
		}
	}
}

func TestImage(t *testing.T) {
	refused := errors.New("refused")
	var mu sync.Mutex
	var verdict error
	judged := 0
	judge := func(op workload.ImageOp, result image.Image) error {
		mu.Lock()
		defer mu.Unlock()
		judged++
		if op != workload.Rotate || result.Bounds() != image.Rect(0, 0, 90, 120) {
			t.Errorf("%s of %v is judged", op, result.Bounds())
		}
		return verdict
	}
	file := painted(t, paintedWidth, paintedHeight)
	g := must(workload.Image(workload.C, false, workload.Rotate, file, judge))(t)
	if want := append([]byte("whole rotate 90\n"), file...); !bytes.Equal(g.Request(), want) {
		t.Errorf("it is asked %.40q", g.Request())
	}
	verdict = refused
	right := painted(t, 90, 120)
	if err := g.Check(right); !errors.Is(err, refused) {
		t.Errorf("what the judge refuses: %v", err)
	}
	verdict = nil
	if err := g.Check(right); err != nil {
		t.Error(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 10 {
				if err := g.Check(bytes.Clone(right)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if judged != 2 {
		t.Errorf("%d answers were judged, want the refused one and the right one", judged)
	}
	verdict = refused
	if err := g.Check(append(bytes.Clone(right), 0)); !errors.Is(err, refused) {
		t.Errorf("what differs from the right answer is not judged: %v", err)
	}
	if err := g.Check([]byte("error: no JPEG")); !errors.As(err, new(*workload.GuestError)) {
		t.Errorf("an error of the guest: %v", err)
	}
	for want, answer := range map[string][]byte{
		"want 90x120":               painted(t, 120, 90),
		"it has 10000x10000 pixels": claiming(right, 10000, 10000),
		"bytes, more than 1924096":  append(bytes.Clone(right), make([]byte, 4*800*600+4096)...),
		"decoding it":               right[:len(right)/2],
		"rotate":                    nil,
	} {
		if err := g.Check(answer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell %q", err, want)
		}
	}
}

// Both guests do to a photo what they should, within what it is judged by; and of a
// photo that is mirrored the result is refused, for every operation.
func TestImageOfPhoto(t *testing.T) {
	ph, err := photo.Take(t.Context(), 400_000)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jpeg.Decode(bytes.NewReader(ph.JPEG))
	if err != nil {
		t.Fatal(err)
	}
	pixels, mirrored := rgba(decoded), image.NewRGBA(decoded.Bounds())
	for y := range ph.Height {
		for x := range ph.Width {
			mirrored.SetRGBA(ph.Width-1-x, y, pixels.RGBAAt(x, y))
		}
	}
	var mirror bytes.Buffer
	if err := jpeg.Encode(&mirror, mirrored, &jpeg.Options{Quality: 98}); err != nil {
		t.Fatal(err)
	}
	for _, guest := range []struct {
		language workload.Language
		simd     bool
	}{{workload.C, false}, {workload.C, true}, {workload.Go, false}} {
		t.Run(fmt.Sprintf("%s/simd=%v", guest.language, guest.simd), func(t *testing.T) {
			p := must(workload.NewPicture(guest.language, guest.simd, ph.JPEG, ph.Judge))(t)
			other := must(workload.NewPicture(guest.language, guest.simd, mirror.Bytes(), ph.Judge))(t)
			img, err := native.New().Prepare(t.Context(), p.Decode())
			skip(t, err)
			defer img.Close()
			inst, _, err := runtime.FirstAnswer(t.Context(), img, p.Put(0).Request(), p.Put(0).Check)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			if err := p.Load(t.Context(), inst.Call); err != nil {
				t.Fatal(err)
			}
			for _, op := range slices.Concat(workload.ImageOps(), workload.ImageOps()) {
				if err := errors.Join(do(t, p, inst.Call, op, 5), p.Result(t.Context(), inst.Call), do(t, p, inst.Call, op, 6)); err != nil {
					t.Error(err)
				}
			}
			for _, op := range workload.ImageOps() {
				g := must(workload.Image(guest.language, guest.simd, op, ph.JPEG, ph.JudgeJPEG))(t)
				answer, err := inst.Call(t.Context(), g.Request())
				if err == nil {
					err = g.Check(answer)
				}
				if err != nil {
					t.Error(err)
				}
			}
			if err := other.Load(t.Context(), inst.Call); err != nil {
				t.Fatal(err)
			}
			for _, op := range workload.ImageOps() {
				if err := do(t, other, inst.Call, op, 5); err != nil {
					t.Error(err)
				}
				if err := other.Result(t.Context(), inst.Call); err == nil || !strings.Contains(err.Error(), "PSNR") {
					t.Errorf("%s of the mirrored photo: %v", op, err)
				}
				if err := do(t, p, inst.Call, op, 5); !errors.As(err, new(*workload.WrongAnswer)) {
					t.Errorf("%s of the mirrored photo for that of the photo: %v", op, err)
				}
			}
		})
	}
}
