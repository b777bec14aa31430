package wasmbench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Every cell of the tables: each guest of each workload on each runtime answers
// rightly, again after a second start, a restart and a pause, and serves. A
// runtime that the environment requires must be there.
func TestEveryGuestOnEveryRuntime(t *testing.T) {
	for _, r := range all() {
		t.Run(r.Name(), func(t *testing.T) {
			if c, ok := r.(io.Closer); ok {
				defer func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			info, err := r.Probe(t.Context())
			if err != nil {
				var u *runtime.Unavailable
				if !errors.As(err, &u) || u.Fix == "" {
					t.Errorf("%v does not say what to do", err)
				}
				if slices.Contains(suite.required, r.Name()) {
					t.Fatalf("required by %s: %v", requireEnv, err)
				}
				t.Skip(err)
			}
			t.Logf("%s; %s", info.Version, info.Settings)
			var open []io.Closer
			defer func() {
				for _, img := range open {
					if err := img.Close(); err != nil {
						t.Error(err)
					}
				}
			}()
			done := func(img io.Closer) {
				if kept(img) {
					open = append(open, img)
				} else if err := img.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, l := range languages(*flagGuests, nil) {
				fib, err := workload.Fibonacci(l, 10)
				if err != nil {
					t.Fatal(err)
				}
				t.Run("guest="+string(l), func(t *testing.T) {
					greets, err := hello(l)
					if err != nil {
						t.Fatal(err)
					}
					testGuest(t, r, greets, done)
					if l != workload.Go || !slices.Contains([]string{"wasmedge", "wasmedge-embedded"}, r.Name()) { // which take a minute to compile one more
						testGuest(t, r, onBase(fib), done)
					}
					testServer(t, r, greets, done)
				})
			}
		})
	}
}

// lacking tells whether err says that the guest is not to be had on r, which is
// no fault unless r is required and the guest is made for it.
func lacking(t *testing.T, r runtime.Runtime, err error) bool {
	t.Helper()
	if !errors.As(err, new(*runtime.Unavailable)) || slices.Contains(suite.required, r.Name()) && !errors.Is(err, workload.ErrNoForm) {
		return false
	}
	t.Log(err)
	return true
}

func testGuest(t *testing.T, r runtime.Runtime, w workload.Workload, done func(io.Closer)) {
	t.Helper()
	img, err := prepareCell(t.Context(), &candidate{Runtime: r}, w, prepareImage)
	if lacking(t, r, err) {
		return
	}
	if err != nil {
		t.Errorf("%s: %v", w.Name(), err)
		return
	}
	for range 2 {
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Errorf("%s: %v", w.Name(), err)
			continue
		}
		if _, err := measure.Calls(t.Context(), inst, w, 2, measure.CallOptions{}); err != nil {
			t.Errorf("%s: %v", w.Name(), err)
		}
		if _, ok := inst.(runtime.Restarter); ok {
			if _, err := measure.Restarts(t.Context(), inst, w, 1, measure.StartOptions{}); err != nil {
				t.Errorf("%s: %v", w.Name(), err)
			}
		}
		if _, ok := inst.(runtime.Pauser); ok {
			_, err := measure.Pauses(t.Context(), inst, w, 1, measure.StartOptions{})
			if err != nil && strings.Contains(err.Error(), "unable to freeze") {
				// With cgroup v1 runc tries so often and no longer, which a busy host may not let do.
				t.Logf("%s: once more: %v", w.Name(), err)
				_, err = measure.Pauses(t.Context(), inst, w, 1, measure.StartOptions{})
			}
			if err != nil {
				t.Errorf("%s: %v", w.Name(), err)
			}
		}
		if err := inst.Close(); err != nil {
			t.Errorf("%s: %v", w.Name(), err)
		}
	}
	done(img)
}

func testServer(t *testing.T, r runtime.Runtime, w workload.Workload, done func(io.Closer)) {
	t.Helper()
	img, err := prepareServer(t.Context(), &candidate{Runtime: r}, w)
	if lacking(t, r, err) {
		return
	}
	if err != nil {
		t.Errorf("serving %s: %v", w.Name(), err)
		return
	}
	if _, err := measure.FirstRequests(t.Context(), img, w, 2, measure.StartOptions{Limit: time.Minute}); err != nil {
		t.Errorf("serving %s: %v", w.Name(), err)
	}
	done(img)
}

// wrong is hello with another idea of what is right.
type wrong struct{ workload.Workload }

func (wrong) Check(answer []byte) error {
	return &workload.WrongAnswer{Workload: "hello", Got: bytes.Clone(answer)}
}

// A guest that answers wrongly fails its benchmark and leaves no time behind.
func TestWrongAnswerFailsTheBenchmark(t *testing.T) {
	for _, r := range all()[:2] {
		w := wrong{workload.Hello(workload.C)}
		img, err := r.Prepare(t.Context(), w)
		if errors.As(err, new(*runtime.Unavailable)) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		result := testing.Benchmark(func(b *testing.B) {
			benchmarkStarts(b, cell[runtime.Image]{workload: w, image: img}, measure.StartOptions{})
		})
		if result.N != 0 || result.T != 0 || len(result.Extra) != 0 {
			t.Errorf("%s: the benchmark reports %v", r.Name(), result)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

// flood is a workload whose guest is no worker: it writes without end.
type flood struct{ workload.Workload }

func (flood) Artifact(context.Context, workload.Form) (string, error) { return exec.LookPath("yes") }

// A guest that is no worker fails its benchmark and leaves no time behind.
func TestGuestThatIsNoWorkerFailsTheBenchmark(t *testing.T) {
	img, err := native.New().Prepare(t.Context(), flood{workload.Hello(workload.Go)})
	if err != nil {
		t.Skip(err)
	}
	result := testing.Benchmark(func(b *testing.B) {
		benchmarkStarts(b, cell[runtime.Image]{workload: workload.Hello(workload.Go), image: img}, measure.StartOptions{})
	})
	if result.N != 0 {
		t.Errorf("the benchmark reports %v", result)
	}
}
