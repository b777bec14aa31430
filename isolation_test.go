package wasmbench

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkIsolation is what the article calls isolation overhead, low or
// medium: what it takes to cross the boundary around a guest. With boundary=call
// one operation is the least request to a live instance and its answer: through a
// pipe to a process or a container, by a call where an engine has the guest in
// its process. With boundary=syscall the guest calls out and is back: by getppid(2) in a
// process or a container, by the WASI function args_sizes_get, which does as
// little, in an engine. With boundary=loop one operation is one round of a loop that
// does next to nothing, with guard=off as everywhere else in this suite, and
// with guard=on in an engine that can end a guest that does not return: guard-% is by
// how much that is slower, of both in turns.
//
// But for the calls through a pipe a sample is the mean of many operations, and so
// the percentiles are of such means.
func BenchmarkIsolation(b *testing.B) {
	boundary := func(op workload.BoundaryOp, n int) func(workload.Language) (workload.Workload, error) {
		return func(l workload.Language) (workload.Workload, error) {
			g, err := workload.Boundary(l, op, n)
			if err != nil {
				return nil, err
			}
			return onBase(g), nil
		}
	}
	t := table{workload: "boundary", guest: boundary(workload.Echo, 0), guests: []workload.Language{workload.C}, runtimes: []string{"native", "wazero-embedded", "wasmtime", "wasmtime-embedded", "wasmedge-embedded", "containerd", "docker", "containerd-wasmtime"}}
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		of := func(op workload.BoundaryOp, n int) workload.Workload {
			w, err := boundary(op, n)(c.language)
			if err != nil {
				b.Fatal(err)
			}
			return w
		}
		inst := start(b, c.image)
		defer closeInstance(b, inst)
		b.Run("boundary=call", func(b *testing.B) {
			size := 1
			if _, ok := inst.(runtime.BatchTimer); ok {
				size = *flagCalls
			}
			calls, err := measure.Batches(b.Context(), inst, c.workload, b.N, size, callOptions())
			if err != nil {
				b.Fatal(err)
			}
			report(b, len(calls.Times), calls.Metrics())
		})
		for _, crossing := range []struct {
			name string
			op   workload.BoundaryOp
			n    int
		}{
			{"boundary=syscall", workload.Syscall, *flagCrossings},
			{"boundary=loop/guard=off", workload.Loop, *flagRounds},
		} {
			w := of(crossing.op, crossing.n)
			b.Run(crossing.name, func(b *testing.B) {
				// The first check of an answer computes the right one, in the clock.
				if _, err := measure.Calls(b.Context(), inst, w, 1, callOptions()); err != nil {
					b.Fatal(err)
				}
				b.ResetTimer()
				calls, err := measure.Calls(b.Context(), inst, w, b.N, callOptions())
				if err != nil {
					b.Fatal(err)
				}
				report(b, len(calls.Times), calls.Each(crossing.n).Metrics())
			})
		}
		g, ok := c.Runtime.(runtime.Guarder)
		if !ok || g.Guarded() == nil {
			return
		}
		guarded := guard{runtime: g.Guarded(), plain: inst, workload: of(workload.Loop, *flagRounds)}
		defer func() { closeInstance(b, &guarded) }()
		b.Run("boundary=loop/guard=on", func(b *testing.B) {
			if err := guarded.start(b.Context()); err != nil {
				absent(b, c.language, c.Name(), err)
			}
			guarded.measure(b)
		})
	})
}

// A guard sets an instance on a runtime that is guarded beside one on the same that
// is not.
type guard struct {
	runtime  runtime.Runtime
	plain    runtime.Instance
	workload workload.Workload

	image    runtime.Image
	instance runtime.Instance
}

// start starts the guarded instance, unless that was done, and asks it once: the
// first call of an instance is slower.
func (g *guard) start(ctx context.Context) (err error) {
	if g.instance != nil {
		return nil
	}
	if g.image, err = g.runtime.Prepare(ctx, g.workload); err != nil {
		return err
	}
	g.instance, _, err = runtime.FirstAnswer(ctx, g.image, g.workload.Request(), g.workload.Check)
	return err
}

// measure asks both in turns.
func (g *guard) measure(b *testing.B) {
	without, with := []measure.Part{{Instance: g.plain, Workload: g.workload}}, []measure.Part{{Instance: g.instance, Workload: g.workload}}
	b.ResetTimer()
	s, err := measure.Speedup(b.Context(), without, with, pairs(b), callOptions())
	if err != nil {
		b.Fatal(err)
	}
	calls := measure.CallSample{Times: s.Team, Wall: s.Wall, CPU: s.CPU}.Each(*flagRounds)
	report(b, len(s.Team), append(calls.Metrics(), measure.Metric{Value: 100 * (1/s.Ratio() - 1), Unit: "guard-%"}))
}

// Close ends what start has made.
func (g *guard) Close() (err error) {
	if g.instance != nil {
		err = g.instance.Close()
	}
	if g.image != nil {
		err = errors.Join(err, g.image.Close())
	}
	return err
}
