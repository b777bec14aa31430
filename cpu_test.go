package wasmbench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// computing are the runtimes without those that differ from one of them only in
// when a module is compiled, which does not show in a live instance.
var computing = []string{
	"native", "wazero", "wazero-interp", "wazero-embedded", "wasmtime", "wasmtime-embedded", "wasmedge", "wasmedge-interp", "wasmedge-embedded",
	"spin", "runc", "containerd", "docker", "containerd-wasmtime",
}

// sampled are runtimes of each kind, for the tables that would take too long
// by default with all.
var sampled = []string{"native", "wazero", "wasmtime", "wasmtime-embedded", "containerd", "containerd-wasmtime"}

// BenchmarkFibonacci is the article's computation: one call of a live instance
// computes fib(n) by double recursion. A smaller n is measured everywhere, so
// that interpreters have a line beside the others; what would take too long
// for a larger one is left out there, and a comment says so.
func BenchmarkFibonacci(b *testing.B) {
	fibonacci := func(n int) func(workload.Language) (workload.Workload, error) {
		return func(l workload.Language) (workload.Workload, error) {
			w, err := workload.Fibonacci(l, n)
			if err != nil {
				return nil, err
			}
			return onBase(w), nil
		}
	}
	eachImage(b, table{workload: "fibonacci", guest: fibonacci(1), runtimes: computing}, func(b *testing.B, c cell[runtime.Image]) {
		inst := start(b, c.image)
		defer closeInstance(b, inst)
		for _, n := range suite.fibonacci {
			w, err := fibonacci(n)(c.language)
			if err != nil { // it is beyond what the language counts exactly
				once("# left out %s/n=%d: %s\n", b.Name(), n, oneLine(err.Error()))
				continue
			}
			predicted, err := predictFibonacci(b, inst, n, fibonacci)
			if err != nil {
				b.Fatal(err)
			}
			if predicted > *flagFibonacci {
				once("# left out %s/n=%d: a call would take %v or so; -fibonacci.limit=%v lets it be measured\n",
					b.Name(), n, predicted.Round(time.Second), (2 * predicted).Round(time.Second))
				continue
			}
			b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
				calls, err := measure.Calls(b.Context(), inst, w, b.N, callOptions())
				if err != nil {
					b.Fatal(err)
				}
				report(b, len(calls.Times), calls.Metrics())
			})
		}
	})
}

func callOptions() measure.CallOptions {
	return measure.CallOptions{Budget: *flagBudget, Limit: *flagOpLimit}
}

// predictFibonacci tells how long a call will take, from calls for smaller
// numbers: each step of one takes the golden ratio longer. They grow until one
// promises that the limit is kept, for a compiler at run time makes the first of
// them slow, or is so large that it can be believed that it is not.
func predictFibonacci(b *testing.B, inst runtime.Instance, n int, fibonacci func(int) func(workload.Language) (workload.Workload, error)) (time.Duration, error) {
	const first, step, near = 20, 5, 8
	for k := first; k < n; k += step {
		w, err := fibonacci(k)("")
		if err != nil {
			return 0, err
		}
		calls, err := measure.Calls(b.Context(), inst, w, 1, measure.CallOptions{Limit: *flagOpLimit})
		if err != nil {
			return 0, err
		}
		after := func(steps int) time.Duration {
			return time.Duration(min(float64(calls.Times[0])*math.Pow(math.Phi, float64(steps)), math.MaxInt64/2))
		}
		if predicted := after(n - k); predicted <= *flagFibonacci || n-k <= near || after(step) > *flagFibonacci/10 {
			return predicted, nil
		}
	}
	return 0, nil
}

// BenchmarkParallelSum is the article's multi-threaded computation: the sum over
// what a filter leaves of ten million doubled numbers, which memory bounds, and
// with workload=hash a heavier kernel over a tenth of them, which it does not. A native
// guest and one in a container has as many threads as there are workers; a module
// has none, so an engine has an instance a worker, each with its part of
// the numbers. They are made before the clock starts. cpu-% is of all workers, to 100
// each; eff-% is the speed-up over one worker, who is asked in turns with
// them, divided by their number: with one worker it tells the noise.
func BenchmarkParallelSum(b *testing.B) {
	for _, kernel := range []struct {
		name     string
		elements int
		of       func(workload.Language, workload.PartOptions) (*workload.Guest, error)
	}{
		{"sum", *flagElements, workload.ParallelSum},
		{"hash", max(*flagElements/10, slices.Max(suite.workers)), workload.ParallelHash},
	} {
		part := func(l workload.Language, p workload.PartOptions) (workload.Workload, error) {
			g, err := kernel.of(l, p)
			if err != nil {
				return nil, err
			}
			return onBase(g), nil
		}
		t := table{workload: kernel.name, guests: []workload.Language{workload.C}, runtimes: sampled, guest: func(l workload.Language) (workload.Workload, error) {
			return part(l, workload.PartOptions{Elements: kernel.elements, To: kernel.elements, Workers: 1})
		}}
		eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
			alone := &crew{image: c.image, elements: kernel.elements, workers: 1}
			defer closeInstance(b, alone)
			for _, n := range suite.workers {
				team := &crew{image: c.image, elements: kernel.elements, workers: n, threads: hasThreads(c.Name())}
				b.Run(fmt.Sprintf("workers=%d", n), func(b *testing.B) {
					for _, t := range []*crew{alone, team} {
						if err := t.assemble(b.Context(), c.language, part); err != nil {
							b.Fatal(err)
						}
					}
					b.ResetTimer()
					s, err := measure.Speedup(b.Context(), alone.parts, team.parts, pairs(b), callOptions())
					if err != nil {
						b.Fatal(err)
					}
					report(b, len(s.Team), s.Metrics(n))
				})
				closeInstance(b, team)
			}
		})
	}
}

// pairs is how many pairs a ratio is the median of: as many as testing asks for,
// and no fewer than have a p50, within -budget.
func pairs(b *testing.B) int { return max(b.N, 6) }

// hasThreads tells whether a guest on a runtime is a program of the host, which
// can have threads of its own.
func hasThreads(runtime string) bool { return runtime == "native" || contains(runtime) }

// contains tells whether a runtime's instances are containers of the host's
// programs.
func contains(runtime string) bool {
	return slices.Contains([]string{"runc", "containerd", "docker"}, runtime)
}

// A crew is what computes with a number of workers: one instance that has as many
// threads, or an instance for each.
type crew struct {
	image    runtime.Image
	elements int
	workers  int
	threads  bool // of one instance

	parts []measure.Part
}

// assemble starts the instances and has each compute once, unless that was done.
func (c *crew) assemble(ctx context.Context, l workload.Language, part func(workload.Language, workload.PartOptions) (workload.Workload, error)) error {
	if len(c.parts) > 0 {
		return nil
	}
	n := c.elements
	plan := []workload.PartOptions{{Elements: n, From: 0, To: n, Workers: c.workers}}
	if !c.threads {
		plan = nil
		for k := range c.workers {
			plan = append(plan, workload.PartOptions{Elements: n, From: n * k / c.workers, To: n * (k + 1) / c.workers, Workers: 1})
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *flagOpLimit, &measure.LimitError{Limit: *flagOpLimit})
	defer cancel()
	for _, p := range plan {
		w, err := part(l, p)
		if err != nil {
			return err
		}
		inst, err := c.image.Start(ctx, func(runtime.Phase, time.Time) {})
		if err != nil {
			return err
		}
		c.parts = append(c.parts, measure.Part{Instance: inst, Workload: w})
	}
	_, err := measure.Together(ctx, c.parts, measure.CallOptions{})
	return err
}

// Close ends the instances.
func (c *crew) Close() (err error) {
	for _, p := range c.parts {
		err = errors.Join(err, p.Instance.Close())
	}
	c.parts = nil
	return err
}
