package wasmbench

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// results reads the lines of a run by what they are named and measure.
func results(t *testing.T, out []byte) map[string]map[string]float64 {
	t.Helper()
	lines := map[string]map[string]float64{}
	reader := benchfmt.NewReader(bytes.NewReader(out), "out.txt")
	for reader.Scan() {
		r, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		values := map[string]float64{}
		for _, v := range r.Values {
			unit := v.Unit
			if v.OrigUnit != "" {
				unit = v.OrigUnit
			}
			values[unit] = v.Value
		}
		lines[r.Name.String()] = values
	}
	return lines
}

// components are the units of what adds up to total-B.
var components = []string{
	"app-text-B", "app-heap-B", "app-anon-B", "app-jit-B", "v8-heap-B", "language-B", "libs-B",
	"engine-B", "linear-B", "stack-B", "code-B",
	"shim-B", "daemon-B", "kernel-B",
}

// What an instance consists of adds up to the total that was read apart. Who else
// starts the same program at that moment shares its text and moves both, so a
// few moments are tried.
func TestComponentsAddUp(t *testing.T) {
	runtimes := "native,wazero,wazero-embedded,wasmtime"
	if os.Geteuid() == 0 {
		runtimes += ",containerd"
	}
	const tries = 5
	for try := 1; ; try++ {
		out, err := rerunAsGoTest(t, "-test.bench=Memory$", "-runtimes="+runtimes, "-guests=go,python", "-settle=200ms")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		lines := results(t, out)
		if len(lines) == 0 {
			t.Fatalf("no lines:\n%s", out)
		}
		off := map[string]float64{}
		for name, have := range lines {
			var sum float64
			for _, unit := range components {
				sum += have[unit]
			}
			if o := sum/have["total-B"] - 1; !(math.Abs(o) <= 0.02) {
				off[name] = o
			}
		}
		if len(off) == 0 {
			return
		}
		if try == tries {
			t.Fatalf("in %d runs components never added up; in the last they were off by these shares: %v\n%s", tries, off, out)
		}
	}
}

// A limit ends the growth, is named, and leaves a line for what is held.
func TestLimitEndsDensity(t *testing.T) {
	for limit, flag := range map[string]string{"time": "-limit.time=1ms", "free-memory": "-limit.memory=1000000000"} {
		t.Run(limit, func(t *testing.T) {
			out, err := rerunAsGoTest(t, "-test.bench=(Density|Scaling)/workload=hello", "-runtimes=native", "-guests="+anyGuest(t), "-settle=20ms",
				"-density.instances=3000", "-scaling.instances=1,3000", flag)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !bytes.Contains(out, []byte("# ended BenchmarkDensity/")) || !bytes.Contains(out, []byte("limit "+limit)) || !bytes.Contains(out, []byte("# ended BenchmarkMemoryScaling/")) {
				t.Errorf("the limit is not named:\n%s", out)
			}
			for name, have := range results(t, out) {
				switch {
				case strings.HasPrefix(name, "Density") && (have["ended-by-"+limit] != 1 || have["inst"] < 1 || have["inst"] >= 3000):
					t.Errorf("%s: %v", name, have)
				case strings.Contains(name, "instances=3000"):
					t.Errorf("%s has a line, though not so many were held: %v", name, have)
				}
			}
		})
	}
}

// Every app answers rightly on every runtime that is here, several at a time.
func TestEveryAppOnEveryRuntime(t *testing.T) {
	for _, r := range all() {
		t.Run(r.Name(), func(t *testing.T) {
			if c, ok := r.(interface{ Close() error }); ok {
				defer func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			for _, app := range workload.Apps() {
				w, err := workload.App(app, workload.C)
				if err != nil {
					t.Fatal(err)
				}
				img, err := r.Prepare(t.Context(), w)
				if u := (*runtime.Unavailable)(nil); errors.As(err, &u) {
					if slices.Contains(suite.required, r.Name()) {
						t.Fatal(err)
					}
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				p := newPopulation(cell[runtime.Image]{image: img, workload: w})
				if err := p.Grow(t.Context(), 3); err != nil {
					t.Errorf("%s: %v", app, err)
				} else if err := p.Check(t.Context(), 0); err != nil {
					t.Errorf("%s: %v", app, err)
				}
				if err := errors.Join(p.Close(), img.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
