package wasmbench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Every cell of the tables: each guest of each workload on each runtime answers
// rightly, again after a second start. A runtime that the environment requires
// must be there.
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
			for _, l := range guestLanguages() {
				fib, err := workload.Fibonacci(l, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range []workload.Workload{workload.Hello(l), fib} {
					testGuest(t, r, w)
				}
			}
		})
	}
}

func testGuest(t *testing.T, r runtime.Runtime, w workload.Workload) {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	if errors.As(err, new(*runtime.Unavailable)) && !slices.Contains(suite.required, r.Name()) {
		t.Log(err)
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
		if err := inst.Close(); err != nil {
			t.Errorf("%s: %v", w.Name(), err)
		}
	}
	if err := img.Close(); err != nil {
		t.Errorf("%s: %v", w.Name(), err)
	}
}

// wrong is hello with another idea of what is right.
type wrong struct{ workload.Workload }

func (wrong) Check(answer []byte) error {
	return &workload.WrongAnswer{Workload: "hello", Got: bytes.Clone(answer)}
}

// A guest that answers wrongly fails its benchmark and leaves no time behind.
func TestWrongAnswerFailsTheBenchmark(t *testing.T) {
	for _, r := range all()[:2] {
		w := wrong{hello(workload.C)}
		img, err := r.Prepare(t.Context(), w)
		if errors.As(err, new(*runtime.Unavailable)) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		result := testing.Benchmark(func(b *testing.B) { benchmarkStarts(b, img, w, measure.StartOptions{}) })
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
	img, err := native.New().Prepare(t.Context(), flood{hello(workload.Go)})
	if err != nil {
		t.Skip(err)
	}
	result := testing.Benchmark(func(b *testing.B) { benchmarkStarts(b, img, hello(workload.Go), measure.StartOptions{}) })
	if result.N != 0 {
		t.Errorf("the benchmark reports %v", result)
	}
}
