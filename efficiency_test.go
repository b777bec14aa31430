package wasmbench

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// loads are what an instance is asked for in BenchmarkCPUEfficiency, given the
// rounds of computing between two blocks. A block is written, synced to the storage
// and read back.
var loads = []struct {
	name string
	of   func(rounds int) workload.LoadOptions
}{
	{"cpu", func(rounds int) workload.LoadOptions { return workload.LoadOptions{Steps: 40, Rounds: rounds} }},
	{"io", func(rounds int) workload.LoadOptions {
		return workload.LoadOptions{Steps: 8, Rounds: rounds / 250, Blocks: 1}
	}},
	{"mixed", func(rounds int) workload.LoadOptions {
		return workload.LoadOptions{Steps: 8, Rounds: rounds, Blocks: 1}
	}},
}

// BenchmarkCPUEfficiency is the article's CPU efficiency: of the time of one
// processor, the share that an instance's own processes have (cpu-%), in user mode
// (user-%, which is the guest's code with that of its language or engine, for nobody
// can tell these apart from outside), and for them in the kernel (sys-%). Where a
// container's shim is its own, its share is in these and, apart, shim-%.
// With load=cpu the guest computes only; with
// load=io it writes blocks of 4 KiB, syncs each to the storage and reads it back;
// with load=mixed it computes in between. With load=idle -idle.instances are
// held that have nothing to do, for -idle.window once what their start brought with
// it has ceased: cpu-% is what all of them take
// with the daemons, guest-cpu-%, shim-cpu-% and daemon-cpu-% whose it is.
func BenchmarkCPUEfficiency(b *testing.B) {
	guest := func(o workload.LoadOptions) func(workload.Language) (workload.Workload, error) {
		return func(l workload.Language) (workload.Workload, error) {
			g, err := workload.Load(l, o)
			if err != nil {
				return nil, err
			}
			dir, err := scratchDir()
			if err != nil {
				return nil, err
			}
			return onBase(g).WithMount(dir), nil
		}
	}
	t := table{workload: "load", guest: guest(workload.LoadOptions{Steps: 1}), guests: []workload.Language{workload.C}, runtimes: append([]string{"docker"}, sampled...)}
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		inst := start(b, c.image)
		defer func() { closeInstance(b, inst) }()
		dead := false // an instance that has failed can only be closed
		for _, load := range loads {
			w, err := guest(load.of(*flagLoadRounds))(c.language)
			if err != nil {
				b.Fatal(err)
			}
			b.Run("load="+load.name, func(b *testing.B) {
				lasting(b, func() []measure.Metric {
					const warm, most = 1, 1 << 20
					if dead {
						b.Skip("the instance has failed before")
					}
					defer func() { dead = b.Failed() }()
					opts := callOptions()
					if _, err := measure.Calls(b.Context(), inst, w, warm, opts); err != nil {
						b.Fatal(err)
					}
					opts.Budget = *flagEfficiency
					calls, err := measure.Calls(b.Context(), inst, w, most, opts)
					if err != nil {
						b.Fatal(err)
					}
					return append(measure.NewDistribution(calls.Times).Metrics(), calls.Efficiency()...)
				})
			})
		}
		b.Run("load=idle", func(b *testing.B) {
			lasting(b, func() []measure.Metric { return idle(b, c) })
		})
	})
}

// idle holds instances that have answered and reads what they take of the
// processors.
func idle(b *testing.B, c cell[runtime.Image]) []measure.Metric {
	p := newPopulation(c)
	defer closeInstance(b, p)
	if err := p.Grow(b.Context(), *flagIdle); err != nil {
		absent(b, c.language, c.Name(), fmt.Errorf("holding %d instances: %w", *flagIdle, err))
	}
	scopes := p.Scopes()
	// What a manager does after a start is not what it costs to be idle: it is
	// waited for, until a moment takes no less than that before it.
	moment := min(*flagIdleWindow, 500*time.Millisecond)
	const most, steady = 20, 0.1 // percent of a processor
	for i, before := 0, math.Inf(1); i < most; i++ {
		s, err := measure.Idle(b.Context(), scopes, moment)
		if err != nil {
			b.Fatal(err)
		}
		share := s.Metrics()[0].Value
		if before-share < steady {
			break
		}
		before = share
	}
	s, err := measure.Idle(b.Context(), scopes, *flagIdleWindow)
	if err != nil {
		b.Fatal(err)
	}
	return s.Metrics()
}
