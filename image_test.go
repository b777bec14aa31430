package wasmbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
)

// megabyte is that of the article's pictures, in bytes.
const megabyte = 1_000_000

// photoOf takes a photograph of so many megabytes, once a run: with what is right to be
// made of it that takes seconds.
func photoOf(megabytes int) (*photo.Photo, error) {
	take, ok := suite.photos[megabytes]
	if !ok {
		take = sync.OnceValues(func() (*photo.Photo, error) {
			return photo.Take(context.Background(), int64(megabytes)*megabyte)
		})
		suite.photos[megabytes] = take
	}
	return take()
}

// BenchmarkImageProcessing is the article's image processing: a photograph, a JPEG
// file of so many bytes, about one for each pixel, is given to an instance and decoded
// there, and then one operation is done to its pixels again and again. The file is
// passed and decoded outside the clock, and the result stays in the instance: an answer
// has its dimensions and 64 bytes of it, from other places than the answer before. Ahead
// of the clock the whole result is fetched and compared with what another library makes
// of the photograph, and after it with that result, byte for byte.
//
// Guest c is built without SIMD and, with simd=on, for what every processor of its kind
// has natively and fixed-width SIMD as a module. Its blur is written for that; the rest
// is what the compiler makes of it. Guest go is what its compiler makes, which knows no
// SIMD. peak-B is the most memory that was resident in the instance's own processes
// while it worked, with what the decoder before had left there and all that an embedded
// engine's process holds.
func BenchmarkImageProcessing(b *testing.B) {
	t := table{workload: "image", guests: []workload.Language{workload.C, workload.Go},
		runtimes: []string{"native", "wazero", "wasmtime", "containerd", "containerd-wasmtime"},
		without:  map[workload.Language][]string{workload.Go: {"wazero"}}, // where an operation takes half a second and more
		guest: func(l workload.Language) (workload.Workload, error) {
			ph, err := photoOf(suite.pictures[0])
			if err != nil {
				return nil, err
			}
			p, err := workload.NewPicture(l, false, ph.JPEG, ph.Judge)
			if err != nil {
				return nil, err
			}
			return p.Decode(), nil
		},
	}
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		for _, megabytes := range suite.pictures {
			photograph(b, c, "off", megabytes, c.image)
		}
		if c.language == workload.C && wanted(*flagImageSIMD, "on", true) {
			vectorised(b, c)
		}
	})
}

// vectorised measures the guest that is built to use SIMD.
func vectorised(b *testing.B, c cell[runtime.Image]) {
	ph, err := photoOf(suite.pictures[0])
	if err != nil {
		b.Fatal(err)
	}
	p, err := workload.NewPicture(c.language, true, ph.JPEG, ph.Judge)
	if err != nil {
		b.Fatal(err)
	}
	img, err := prepareCell(b.Context(), c.candidate, p.Decode(), prepareImage)
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	defer closeInstance(b, img)
	for _, megabytes := range suite.pictures {
		photograph(b, c, "on", megabytes, img)
	}
}

// photograph measures every operation on a picture of so many megabytes.
func photograph(b *testing.B, c cell[runtime.Image], simd string, megabytes int, img runtime.Image) {
	if simd == "off" && !wanted(*flagImageSIMD, "off", true) {
		return
	}
	for _, op := range workload.ImageOps() {
		s := &studio{image: img} // of its own, for what an operation took stays with the instance
		b.Run(fmt.Sprintf("op=%s/size=%dMB/simd=%s", op, megabytes, simd), func(b *testing.B) {
			if s.instance == nil {
				if err := s.open(b, c.language, simd == "on", megabytes); err != nil {
					b.Fatal(err)
				}
			}
			s.measure(b, op)
		})
		s.close(b)
	}
}

// A studio is an instance that has a picture.
type studio struct {
	image    runtime.Image
	picture  *workload.Picture
	instance runtime.Instance
	asked    uint32 // the seed of the last request
	dead     bool   // the instance has failed, and can only be closed
}

// open starts the instance and has it decode a photograph.
func (s *studio) open(b *testing.B, l workload.Language, simd bool, megabytes int) error {
	ph, err := photoOf(megabytes)
	if err != nil {
		return err
	}
	if s.picture, err = workload.NewPicture(l, simd, ph.JPEG, ph.Judge); err != nil {
		return err
	}
	s.instance = start(b, s.image)
	ctx, cancel := limited(b)
	defer cancel()
	if err := s.picture.Load(ctx, s.instance.Call); err != nil {
		s.dead = true
		return err
	}
	return nil
}

func (s *studio) close(b *testing.B) {
	if s.instance != nil {
		closeInstance(b, s.instance)
	}
}

// measure does op b.N times, after once that does not count and whose whole result is
// judged, and compares what the last time made.
func (s *studio) measure(b *testing.B, op workload.ImageOp) {
	if s.dead {
		b.Skip("the instance has failed before")
	}
	defer func() { s.dead = b.Failed() }()
	next := func(int) (workload.Workload, error) {
		s.asked += 64 // bytes that an answer has
		return s.picture.Op(op, s.asked)
	}
	scope := s.instance.Scope()
	if _, err := measure.Sequence(b.Context(), s.instance, next, 1, callOptions()); err != nil {
		b.Fatal(err)
	}
	s.judge(b)
	unseen := measure.ResetPeakMemory(b.Context(), scope)
	if unseen != nil && !errors.As(unseen, new(*runtime.Unavailable)) {
		b.Fatal(unseen)
	}
	b.ResetTimer()
	calls, err := measure.Sequence(b.Context(), s.instance, next, b.N, callOptions())
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	metrics := append(calls.Metrics(), calls.Rate("ops/s"))
	if unseen != nil {
		once("# left out of BenchmarkImageProcessing: peak-B: %s\n", oneLine(unseen.Error()))
	} else {
		peak, err := measure.PeakMemory(b.Context(), scope)
		if err != nil {
			b.Fatal(err)
		}
		metrics = append(metrics, measure.Metric{Value: float64(peak), Unit: "peak-B"})
	}
	s.judge(b)
	report(b, len(calls.Times), metrics)
}

// judge has the whole result of the last request fetched and judged.
func (s *studio) judge(b *testing.B) {
	b.Helper()
	ctx, cancel := limited(b)
	defer cancel()
	if err := s.picture.Result(ctx, s.instance.Call); err != nil {
		b.Fatal(err)
	}
}
