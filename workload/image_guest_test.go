package workload_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	engine "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/image/draw"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// drawn is a picture of slopes and edges, in colours that a JPEG has, and no two of
// whose corners are alike.
func drawn(w, h int) *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{uint8(40 + 150*x/w), uint8(200 - 120*y/h), uint8(90 + 40*math.Sin(float64(x+2*y)/9)), 255}
			if x > w/2 && y < h/3 {
				c.R, c.G = 220, 60
			}
			p.SetRGBA(x, y, c)
		}
	}
	return p
}

func asJPEG(t testing.TB, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, p image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// imageGuests are those there are, and how many bytes of a pixel they keep.
var imageGuests = []struct {
	name     string
	language workload.Language
	simd     bool
	pixel    int
}{{"c", workload.C, false, 3}, {"c-simd", workload.C, true, 3}, {"go", workload.Go, false, 4}}

// askingImages is an image guest whose first request is refused.
type askingImages struct{ *workload.Guest }

func (askingImages) Request() []byte { return []byte("decode\n") }

func (askingImages) Check(answer []byte) error {
	if !bytes.HasPrefix(answer, []byte("error: ")) {
		return fmt.Errorf("it decodes what it was not given: %.80q", answer)
	}
	return nil
}

func imageGuest(t testing.TB, l workload.Language, simd bool) *workload.Guest {
	t.Helper()
	return must(workload.Image(l, simd, workload.Rotate, asJPEG(t, drawn(48, 32)), func(workload.ImageOp, image.Image) error { return nil }))(t)
}

// onEachImage runs f with every image guest natively and, where C has made them in time
// for a test, with the modules too: that of Go is in TestLines of the suite.
func onEachImage(t *testing.T, f func(t *testing.T, ask func([]byte) []byte, pixel int)) {
	for _, g := range imageGuests {
		runtimes := []runtime.Runtime{native.New()}
		if g.language == workload.C {
			runtimes = append(runtimes, wasmtime.Embedded(wasmtime.EmbeddedOptions{}))
		}
		if g.language == workload.C && !g.simd {
			runtimes = append(runtimes, wazero.Precompiled())
		}
		for _, r := range runtimes {
			t.Run(g.name+"/"+r.Name(), func(t *testing.T) {
				f(t, live(t, r, askingImages{imageGuest(t, g.language, g.simd)}), g.pixel)
			})
		}
	}
}

// putRequests give a guest a file, in parts.
func putRequests(file []byte, part int) (all [][]byte) {
	for at := 0; at < len(file); at += part {
		head := fmt.Appendf(nil, "put %d %d\n", at, len(file))
		all = append(all, append(head, file[at:min(at+part, len(file))]...))
	}
	return all
}

// decodeIn has a guest decode a file, and returns its answer.
func decodeIn(t *testing.T, ask func([]byte) []byte, file []byte, part int) string {
	t.Helper()
	for i, request := range putRequests(file, part) {
		want := fmt.Sprintf("put %d", min((i+1)*part, len(file)))
		if got := string(ask(request)); got != want {
			t.Fatalf("%.20q is answered %.200q, want %q", request, got, want)
		}
	}
	return string(ask([]byte("decode\n")))
}

// A made is what a guest made of a picture.
type made struct {
	w, h, pixel int
	data        []byte
}

// makeIn has a guest do something to what it decoded, fetches the result in parts and
// compares it with what the answer tells of it.
func makeIn(t *testing.T, ask func([]byte) []byte, request string) (m made) {
	t.Helper()
	answer := string(ask([]byte(request + "\n")))
	words := strings.Fields(request)
	var op, samples string
	var size int
	if _, err := fmt.Sscanf(answer, "%s %d %d %d %d %s", &op, &m.w, &m.h, &m.pixel, &size, &samples); err != nil || op != words[0] {
		t.Fatalf("%q is answered %.300q: %v", request, answer, err)
	}
	for len(m.data) < size {
		b := ask(fmt.Appendf(nil, "get %d %d\n", len(m.data), min(10_000, size-len(m.data))))
		if len(b) != min(10_000, size-len(m.data)) {
			t.Fatalf("10000 bytes at %d are %.80q", len(m.data), b)
		}
		m.data = append(m.data, b...)
	}
	seed, err := strconv.ParseUint(words[len(words)-1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range uint32(64) {
		want = append(want, m.data[scattered(uint32(seed)+i)%uint32(size)])
	}
	if samples != hex.EncodeToString(want) {
		t.Errorf("%q is answered with the bytes %s, but has %x", request, samples, want)
	}
	if m.pixel > 0 && size != m.w*m.h*m.pixel {
		t.Fatalf("%q is answered %.300q, whose size is wrong", request, answer)
	}
	return m
}

// image returns the pixels.
func (m made) image() *image.RGBA {
	p := image.NewRGBA(image.Rect(0, 0, m.w, m.h))
	for i := range m.w * m.h {
		copy(p.Pix[4*i:], m.data[m.pixel*i:][:3])
		p.Pix[4*i+3] = 255
	}
	return p
}

// turned returns a picture turned clockwise by 90 degrees.
func turned(p *image.RGBA) *image.RGBA {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	to := image.NewRGBA(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			to.SetRGBA(h-1-y, x, p.RGBAAt(x, y))
		}
	}
	return to
}

// blurred returns a picture after a blur that reaches r pixels far, in numbers that
// are not rounded.
func blurred(p *image.RGBA, r int) []float64 {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	var weights []float64
	sum := 0.0
	for k := -r; k <= r; k++ {
		x := float64(k) / (float64(r) / 3)
		weights = append(weights, math.Exp(-x*x/2))
		sum += weights[len(weights)-1]
	}
	pass := func(from []float64, step func(x, y, k int) (int, int)) []float64 {
		to := make([]float64, len(from))
		for y := range h {
			for x := range w {
				for k := -r; k <= r; k++ {
					ax, ay := step(x, y, k)
					at := 4 * (min(max(ay, 0), h-1)*w + min(max(ax, 0), w-1))
					for c := range 4 {
						to[4*(y*w+x)+c] += from[at+c] * weights[k+r] / sum
					}
				}
			}
		}
		return to
	}
	all := make([]float64, len(p.Pix))
	for i, v := range p.Pix {
		all[i] = float64(v)
	}
	along := pass(all, func(x, y, k int) (int, int) { return x + k, y })
	return pass(along, func(x, y, k int) (int, int) { return x, y + k })
}

// farthest returns by how much a byte of two pictures differs at most, and all on
// average.
func farthest(t *testing.T, a *image.RGBA, b []float64) (most, mean float64) {
	t.Helper()
	if len(a.Pix) != len(b) {
		t.Fatalf("%d bytes, want %d", len(a.Pix), len(b))
	}
	for i, v := range a.Pix {
		d := math.Abs(float64(v) - b[i])
		most, mean = max(most, d), mean+d/float64(len(b))
	}
	return most, mean
}

func numbers(p *image.RGBA) []float64 {
	all := make([]float64, len(p.Pix))
	for i, v := range p.Pix {
		all[i] = float64(v)
	}
	return all
}

func rgba(p image.Image) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, p.Bounds().Dx(), p.Bounds().Dy()))
	draw.Copy(to, image.Point{}, p, p.Bounds(), draw.Src, nil)
	return to
}

// Every operation does what it should to what was decoded, of any size and in the
// memory of the one before.
func TestImageGuests(t *testing.T) {
	onEachImage(t, func(t *testing.T, ask func([]byte) []byte, pixel int) {
		try := func(p *image.RGBA, file []byte, mean float64) {
			t.Helper()
			w, h := p.Rect.Dx(), p.Rect.Dy()
			// A JPEG has colour in squares of four pixels, of which a small picture has few.
			small := min(w, h) < 32
			if got, want := decodeIn(t, ask, file, 5000), fmt.Sprintf("decode %d %d", w, h); got != want {
				t.Fatalf("it answers %.200q, want %q", got, want)
			}
			// The pixels that a guest has are those that a rotation moves.
			rotated := makeIn(t, ask, "rotate 90 7")
			if rotated.w != h || rotated.h != w || rotated.pixel != pixel {
				t.Fatalf("rotated it has %dx%d pixels of %d bytes", rotated.w, rotated.h, rotated.pixel)
			}
			got := rotated.image()
			if off, average := farthest(t, got, numbers(turned(p))); average > mean && !(mean > 0 && small) {
				t.Errorf("%dx%d rotated: off by %.0f at most, by %.2f on average", w, h, off, average)
			}
			has := turned(turned(turned(got)))

			for _, r := range []int{1, 5, 32} {
				m := makeIn(t, ask, fmt.Sprintf("blur %d 4294967295", r))
				if off, average := farthest(t, m.image(), blurred(has, r)); m.w != w || m.h != h || off > 1.6 || average > 0.5 {
					t.Errorf("%dx%d blurred by %d it has %dx%d pixels, off by %.2f at most, by %.2f on average", w, h, r, m.w, m.h, off, average)
				}
			}
			// What lies beyond an edge is the pixel there, or is left out.
			for _, to := range []image.Point{{40, 30}, {1, 1}, {w, h}, {150, 5}, {7, 111}} {
				m := makeIn(t, ask, fmt.Sprintf("resize %d %d 0", to.X, to.Y))
				want := image.NewRGBA(image.Rectangle{Max: to})
				draw.CatmullRom.Scale(want, want.Rect, has, has.Rect, draw.Src, nil)
				if off, average := farthest(t, m.image(), numbers(want)); m.w != to.X || m.h != to.Y || off > 5 || average > 1.5 {
					t.Errorf("%dx%d resized to %v it has %dx%d pixels, off by %.2f at most, by %.2f on average", w, h, to, m.w, m.h, off, average)
				}
			}
			for _, q := range []int{80, 1, 100} {
				m := makeIn(t, ask, fmt.Sprintf("compress %d 99", q))
				of, err := jpeg.Decode(bytes.NewReader(m.data))
				if err != nil || m.pixel != 0 || m.w != w || m.h != h || of.Bounds().Size() != p.Rect.Size() {
					t.Fatalf("compressed it is %dx%d pixels of %d bytes, %v", m.w, m.h, m.pixel, err)
				}
				if _, average := farthest(t, rgba(of), numbers(has)); q > 1 && !small && average > 4 {
					t.Errorf("%dx%d compressed to %d it is off by %.2f on average", w, h, q, average)
				}
				if ratio := of.(*image.YCbCr).SubsampleRatio; q == 80 && ratio != image.YCbCrSubsampleRatio420 {
					t.Errorf("compressed it is subsampled %v", ratio)
				}
			}
			if got, want := decodeIn(t, ask, file, len(file)), fmt.Sprintf("decode %d %d", w, h); got != want {
				t.Errorf("decoded again it answers %.200q", got)
			}
			if again := makeIn(t, ask, "rotate 90 8"); !bytes.Equal(again.data, rotated.data) {
				t.Error("decoded again it is another picture")
			}
		}
		for _, size := range []image.Point{{123, 67}, {33, 70}, {1, 1}, {1, 40}, {47, 2}} {
			p := drawn(size.X, size.Y)
			try(p, asJPEG(t, p), 3)
			try(p, asPNG(t, p), 0)
		}
	})
}

// sof returns where the header of a JPEG file's frame begins.
func sof(t testing.TB, file []byte) int {
	t.Helper()
	at := bytes.Index(file, []byte{0xff, 0xc0})
	if at < 0 {
		t.Fatal("the file has no frame")
	}
	return at
}

// chunk returns a chunk of a PNG file.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngOf returns a PNG file of one byte for each pixel, which tells these dimensions.
func pngOf(w, h uint32, rest ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, w)
	b = append(binary.BigEndian.AppendUint32(b, h), 8, 0, 0, 0, 0)
	b = append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", b)...)
	return append(b, bytes.Join(rest, nil)...)
}

// hostileImages are files that are no pictures, by what the answer tells of them.
func hostileImages(t testing.TB) map[string][]byte {
	photo := asJPEG(t, drawn(64, 48))
	sized := func(w, h uint16) []byte {
		b := bytes.Clone(photo)
		binary.BigEndian.PutUint16(b[sof(t, b)+5:], h)
		binary.BigEndian.PutUint16(b[sof(t, b)+7:], w)
		return b
	}
	// 64 MiB of zeros are 64 KiB, in a picture that has one pixel.
	var zeros bytes.Buffer
	big := image.NewGray(image.Rect(0, 0, 8192, 8192))
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&zeros, big); err != nil {
		t.Fatal(err)
	}
	bomb := zeros.Bytes()
	copy(bomb[8:], pngOf(1, 1)[8:])
	tables := bytes.Index(photo, []byte{0xff, 0xc4})
	wide := bytes.Clone(photo)
	copy(wide[tables+5:], bytes.Repeat([]byte{255}, 16))
	absent := bytes.Clone(photo)
	copy(absent[tables:], []byte{0xff, 0xe3})
	scans := bytes.Index(photo, []byte{0xff, 0xda})
	many := append(bytes.Clone(photo[:len(photo)-2]), bytes.Repeat(photo[scans:scans+14], 300)...)
	many = append(many, 0xff, 0xd9)
	return map[string][]byte{
		"100000 x 100000": pngOf(100000, 100000, chunk("IDAT", bytes.Repeat([]byte{0x78, 0x9c, 1, 0}, 20)), chunk("IEND", nil)),
		"65500 x 65500":   sized(65500, 65500), "16385 x 8": sized(16385, 8), "8 x 16385": sized(8, 16385), "16384 x 16384": sized(16384, 16384),
		"no JPEG or PNG (text)":  []byte("This is not a picture, but what someone uploaded in place of one."),
		"no JPEG or PNG (zeros)": make([]byte, 100_000),
		"no JPEG or PNG (one)":   {0xff},
		"no JPEG or PNG (GIF)":   []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x00\x00\x00\x00\x00,"),
		"decode (no pixels)":     sized(0, 48),
		"decode (bomb)":          bomb,
		"decode (long table)":    wide,
		"decode (no tables)":     absent,
		"decode (many scans)":    many,
		"decode (begin)":         {0xff, 0xd8, 0xff},
		"decode (begin of PNG)":  pngOf(1, 1),
		"decode (no data)":       pngOf(1000, 1000, chunk("IEND", nil)),
		"decode (random)":        pngOf(16000, 2000, chunk("IDAT", asJPEG(t, drawn(300, 300))), chunk("IEND", nil)),
	}
}

// What is no whole picture is answered with an error, and the next is decoded.
func TestImageGuestsRefuseFiles(t *testing.T) {
	onEachImage(t, func(t *testing.T, ask func([]byte) []byte, _ int) {
		right := drawn(20, 30)
		refuse := func(name string, file []byte) {
			t.Helper()
			word, _, _ := strings.Cut(name, " (")
			if a := decodeIn(t, ask, file, 1<<20); !strings.HasPrefix(a, "error: ") || !strings.Contains(a, word) || len(a) > 300 {
				t.Errorf("%s: decode is answered %.300q", name, a)
			}
			if a := string(ask([]byte("rotate 90 1\n"))); !strings.HasPrefix(a, "error: ") || !strings.Contains(a, "no picture") {
				t.Errorf("%s: rotate is answered %.300q", name, a)
			}
			if a := string(ask([]byte("get 0 1\n"))); !strings.HasPrefix(a, "error: ") {
				t.Errorf("%s: get is answered %.300q", name, a)
			}
			if a := string(ask(append([]byte("whole blur 5\n"), file...))); !strings.HasPrefix(a, "error: ") || !strings.Contains(a, word) {
				t.Errorf("%s: the whole is answered %.300q", name, a)
			}
		}
		for name, file := range hostileImages(t) {
			refuse(name, file)
		}
		for _, file := range [][]byte{asJPEG(t, drawn(40, 24)), asPNG(t, drawn(24, 16))} {
			for size := 1; size < len(file); size += 1 + len(file)/50 {
				refuse(fmt.Sprintf("decode (the first %d of %d bytes)", size, len(file)), file[:size])
			}
			refuse("decode (all but the last)", file[:len(file)-1])
		}
		if a := decodeIn(t, ask, asJPEG(t, right), 1<<20); a != "decode 20 30" {
			t.Errorf("then a picture is answered %.200q", a)
		}
	})
}

// The memory of a module is that of the pixels that a file should have, whatever it tells.
func TestImageModulesStaySmall(t *testing.T) {
	r := engine.NewRuntimeWithConfig(t.Context(), engine.NewRuntimeConfig())
	defer r.Close(t.Context())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	answer, memory := reactor(t, r, imageGuest(t, workload.C, false).WithMount(t.TempDir()))
	for name, file := range hostileImages(t) {
		decodeIn(t, answer, file, 1<<20)
		if size := memory.Size(); size > 64<<20 {
			t.Errorf("%s: it has %d MiB of memory", name, size>>20)
		}
	}
}

func TestImageGuestsRefuseRequests(t *testing.T) {
	onEachImage(t, func(t *testing.T, ask func([]byte) []byte, _ int) {
		file := asJPEG(t, drawn(20, 10))
		if a := decodeIn(t, ask, file, 100); a != "decode 20 10" {
			t.Fatalf("decode is answered %.200q", a)
		}
		for request, want := range map[string]string{
			"": "want", "\n": "want", "decode": "want", "decode\nx": "want", "decode \n": "want", " decode\n": "want", "decode 1\n": "want", "Decode\n": "want",
			"put\n": "want", "put 0\nx": "want", "put 0 0\n": "want", "put 0 67108865\nx": "67108864", "put -1 5\nx": "want", "put 0 5 5\nx": "want", "put 0x1 5\nx": "want",
			"put 0 3\nlong": "4 bytes at 0 of 3", "put 7 9\nx": "7 of 9", "put 3 4\nx": "3 of 4",
			"resize 0 5 1\n": "want", "resize 16385 1 1\n": "16384", "resize 7000 7000 1\n": "40000000", "resize 5 5\n": "want", "resize 5 5 4294967296\n": "want", "resize 5 5 1 1\n": "want",
			"resize 5 5 1": "want", "resize 5 5 1\nx": "want", "resize 5 5 -1\n": "want",
			"rotate 180 1\n": "want", "rotate 90\n": "want", "rotate 90 x\n": "want", "blur 0 1\n": "want", "blur 33 1\n": "32", "blur 5\n": "want",
			"compress 0 1\n": "want", "compress 101 1\n": "100", "sharpen 5 1\n": "want",
			"get 0 1\n": "of a result of 0", "get 0 1048577\n": "1048576", "get 0\n": "want", "get 0 1 1\n": "want", "get 0 1\nx": "want",
			"whole\nx": "want", "whole rotate\nx": "want", "whole rotate 90 5\nx": "want", "whole whole 1\nx": "want", "whole decode\nx": "want", "whole resize 1 2 3\nx": "want",
			"whole rotate 90\n": "no JPEG", "whole blur 33\n" + string(file): "want",
			strings.Repeat("9 ", 50_000): "want", strings.Repeat("a", 100_000) + "\n": "want", "\x00\xff \n": "want", strings.Repeat(" ", 10) + "\n": "want",
		} {
			a := string(ask([]byte(request)))
			if !strings.HasPrefix(a, "error: ") || !strings.Contains(a, want) || len(a) > 700 {
				t.Errorf("%.60q is answered %.400q, which does not tell %q", request, a, want)
			}
		}
		// After a put that was refused nothing is whole.
		if a := string(ask([]byte("decode\n"))); !strings.HasPrefix(a, "error: ") || !strings.Contains(a, "were put") {
			t.Errorf("decode of a part is answered %.300q", a)
		}
		m := makeIn(t, ask, "rotate 90 3")
		if m.w != 10 || m.h != 20 {
			t.Errorf("what was decoded before is %dx%d", m.w, m.h)
		}
		for request, want := range map[string]string{
			fmt.Sprintf("get %d 1\n", len(m.data)): "1 bytes at", fmt.Sprintf("get 1 %d\n", len(m.data)): "bytes at 1", "get 4294967295 1048576\n": "4294967295",
		} {
			if a := string(ask([]byte(request))); !strings.HasPrefix(a, "error: ") || !strings.Contains(a, want) {
				t.Errorf("%q is answered %.300q", request, a)
			}
		}
		if a := ask(fmt.Appendf(nil, "get %d 0\n", len(m.data))); len(a) != 0 {
			t.Errorf("no bytes at the end are %.80q", a)
		}
		// A picture as thin as can be would take gigabytes between the passes.
		thin := image.NewRGBA(image.Rect(0, 0, 1, 16384))
		if a := decodeIn(t, ask, asPNG(t, thin), 1<<20); a != "decode 1 16384" {
			t.Fatalf("a thin picture is answered %.200q", a)
		}
		if a := string(ask([]byte("resize 16384 1 1\n"))); !strings.HasPrefix(a, "error: resize: ") || !strings.Contains(a, "16000000") {
			t.Errorf("to make it wide is answered %.300q", a)
		}
		if a := string(ask([]byte("get 0 1\n"))); !strings.HasPrefix(a, "error: ") {
			t.Errorf("after that the result is %.80q", a)
		}
		makeIn(t, ask, "blur 32 1")
	})
}

// The whole at once is what the stages make, and leaves them alone.
func TestImageGuestsWhole(t *testing.T) {
	onEachImage(t, func(t *testing.T, ask func([]byte) []byte, _ int) {
		staged, other := drawn(60, 44), asJPEG(t, drawn(31, 90))
		if a := decodeIn(t, ask, asJPEG(t, staged), 1<<20); a != "decode 60 44" {
			t.Fatalf("decode is answered %.200q", a)
		}
		before := makeIn(t, ask, "rotate 90 3")
		for op, size := range map[string]image.Point{"resize 40 50": {40, 50}, "rotate 90": {90, 31}, "blur 3": {31, 90}, "compress 70": {31, 90}} {
			b := bytes.Clone(ask(append([]byte("whole "+op+"\n"), other...)))
			p, err := jpeg.Decode(bytes.NewReader(b))
			if err != nil || p.Bounds().Size() != size {
				t.Fatalf("%s is answered %.100q: %v", op, b, err)
			}
			for range 3 {
				if again := ask(append([]byte("whole "+op+"\n"), other...)); !bytes.Equal(again, b) {
					t.Errorf("%s again is answered with other bytes", op)
				}
			}
		}
		if again := makeIn(t, ask, "rotate 90 3"); !bytes.Equal(again.data, before.data) {
			t.Error("the stages have another picture")
		}
	})
}

func TestImageGuestsInEveryForm(t *testing.T) {
	file := asJPEG(t, drawn(80, 60))
	request := append([]byte("whole rotate 90\n"), file...)
	check := func(t *testing.T, b []byte, err error) {
		t.Helper()
		if p, damaged := jpeg.Decode(bytes.NewReader(b)); err != nil || damaged != nil || p.Bounds().Size() != image.Pt(60, 80) {
			t.Errorf("it answers %.100q, %v, %v", b, err, damaged)
		}
	}
	for _, g := range imageGuests {
		w := imageGuest(t, g.language, g.simd)
		t.Run(g.name+"/rootfs", func(t *testing.T) {
			dir, err := w.Artifact(t.Context(), workload.RootFS)
			skip(t, err)
			if _, err := os.Stat(filepath.Join(dir, "guest")); err != nil {
				t.Error(err)
			}
		})
		t.Run(g.name+"/cgi", func(t *testing.T) {
			path, err := w.Artifact(t.Context(), workload.CGI)
			skip(t, err)
			if g.language == workload.Go {
				return // it takes minutes to compile under the race detector
			}
			out, err := runCGI(t, must(os.ReadFile(path))(t), true, string(request), strconv.Itoa(len(request)))
			_, body, _ := strings.Cut(out, "\n\n")
			check(t, []byte(body), err)
		})
		t.Run(g.name+"/server", func(t *testing.T) {
			if g.language == workload.C {
				if _, err := w.Artifact(t.Context(), workload.Server); !errors.Is(err, workload.ErrNoForm) {
					t.Errorf("error %v, want ErrNoForm", err)
				}
				return
			}
			url := "http://" + serve(t, w) + "/"
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					b, err := post(url, request)
					check(t, b, err)
				})
			}
			all.Wait()
			b, err := post(url, []byte("whole rotate 90\nno picture"))
			if err != nil || !strings.HasPrefix(string(b), "error: decode: ") {
				t.Errorf("what is no picture is answered %.200q, %v", b, err)
			}
		})
	}
}

// The C guest's headers may be absent, which is told.
func TestImageGuestWithoutHeaders(t *testing.T) {
	cc, _, err := workload.CompilerC(t.Context())
	skip(t, err)
	dir := t.TempDir()
	front := filepath.Join(dir, "cc")
	if err := os.WriteFile(front, []byte("#!/bin/sh\nexec "+cc+" -nostdinc \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CC", front)
	for _, simd := range []bool{false, true} {
		_, err = imageGuest(t, workload.C, simd).Artifact(t.Context(), workload.Executable)
		var u *workload.Unavailable
		if !errors.As(err, &u) || !strings.Contains(u.Fix, "libstb-dev") || u.Err == nil {
			t.Errorf("error %v, want an *Unavailable that names libstb-dev", err)
		}
		if _, err := imageGuest(t, workload.C, simd).Artifact(t.Context(), workload.Reactor); err != nil {
			t.Errorf("the module takes no headers: %v", err)
		}
	}
}
