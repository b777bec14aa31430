package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A CallSample is what Calls and Batches measured.
type CallSample struct {
	Times      []time.Duration // of each call, from before Instance.Call until its answer was checked, or of each batch
	Operations int             // how many each of Times holds, by which Metrics divides; 0 is 1
	Wall       time.Duration   // from before the first to after the last
	CPU        time.Duration   // that the instance's own processes spent meanwhile
	User       time.Duration   // the part of CPU in user mode, by so many
	Ticks      int             // ticks of the kernel's clock: see CPU, the meter
	Shim       time.Duration   // processor time of the instance's shim; in CPU too where the shim is the instance's own
}

// CallOptions bound a sample of calls. The zero value sets no bound.
type CallOptions struct {
	// Budget ends the sample early: no call is begun once so much time has
	// passed. One is always made. 0 is no bound.
	Budget time.Duration
	// Limit ends with a *LimitError when one call takes longer. 0 is no limit.
	Limit time.Duration
}

// Calls makes n calls of a live instance, one after the other, and checks each
// answer. It stops at the first error.
func Calls(ctx context.Context, inst runtime.Instance, w workload.Workload, n int, opts CallOptions) (CallSample, error) {
	request := w.Request()
	if timer, ok := inst.(runtime.CallTimer); ok {
		return repeat(ctx, inst, n, opts, repeated{"calls", 1, largestBatch, func(ctx context.Context, n int) ([]time.Duration, error) {
			return timer.TimeCalls(ctx, n, request, w.Check)
		}})
	}
	return repeat(ctx, inst, n, opts, repeated{"calls", 1, 1, func(ctx context.Context, _ int) ([]time.Duration, error) {
		return callBatch(ctx, inst, w, request, 1)
	}})
}

// Sequence is Calls with a workload of its own for each call: next(0), next(1) and
// so on, each made outside the clock when the one before has been checked.
func Sequence(ctx context.Context, inst runtime.Instance, next func(i int) (workload.Workload, error), n int, opts CallOptions) (CallSample, error) {
	i := 0
	return repeat(ctx, inst, n, opts, repeated{"calls", 1, 1, func(ctx context.Context, _ int) ([]time.Duration, error) {
		w, err := next(i)
		if err != nil {
			return nil, err
		}
		i++
		return callBatch(ctx, inst, w, w.Request(), 1)
	}})
}

// repeated is what is repeated and how it is timed.
type repeated struct {
	name  string // in the plural
	calls int    // that each holds
	most  int    // how many are asked for at once, at most
	times func(ctx context.Context, n int) ([]time.Duration, error)
}

// repeat takes a sample of n calls or batches, several at a time where whoever
// times them takes several, the first alone.
func repeat(ctx context.Context, inst runtime.Instance, n int, opts CallOptions, r repeated) (CallSample, error) {
	defer quiet()()
	ctx, reset, stop := watchdog(ctx, opts.Limit)
	defer stop()
	s := CallSample{Times: make([]time.Duration, 0, n), Operations: r.calls}
	scope := inst.Scope()
	scope.Shared = nil // a daemon's time is not the instance's
	before, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	begin := time.Now()
	for batch := 1; len(s.Times) < n && (opts.Budget == 0 || len(s.Times) == 0 || time.Since(begin) < opts.Budget); batch = min(2*batch, r.most) {
		asked := min(batch, n-len(s.Times))
		reset(asked * r.calls)
		times, err := r.times(ctx, asked)
		if err == nil && len(times) != asked {
			err = fmt.Errorf("of %d %s asked for, %d were timed", asked, r.name, len(times))
		}
		if err != nil {
			return s, fmt.Errorf("after %d of %d %s: %w", len(s.Times), n, r.name, err)
		}
		s.Times = append(s.Times, times...)
	}
	s.Wall = time.Since(begin)
	after, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	s.CPU = after.CPU - before.CPU
	s.Shim = after.ShimCPU - before.ShimCPU
	ticked := split{after.ticked.user - before.ticked.user, after.ticked.all - before.ticked.all}
	s.User, s.Ticks = ticked.of(s.CPU), ticked.ticks()
	return s, nil
}

// Each returns the sample of calls each of which holds so many operations, such
// as the rounds of a loop, as a sample of these: Operations is multiplied.
func (s CallSample) Each(operations int) CallSample {
	s.Operations = max(s.Operations, 1) * max(operations, 1)
	return s
}

// Metrics returns the distribution of the times of one operation each, those of
// a batch or call that holds several being its mean, and cpu-%, the share of one
// processor that the instance's own processes kept busy.
func (s CallSample) Metrics() []Metric {
	ms := NewDistribution(s.Times).Metrics()
	for i := range ms {
		ms[i].Value /= float64(max(s.Operations, 1))
	}
	return append(ms, s.busy()...)
}

// Rate returns how many operations were done in a second, in unit: all of them by the
// time that all took.
func (s CallSample) Rate(unit string) Metric {
	return Metric{float64(len(s.Times)*max(s.Operations, 1)) / total(s.Times).Seconds(), unit}
}

func (s CallSample) busy() []Metric {
	if s.CPU <= 0 || s.Wall <= 0 {
		return nil
	}
	return []Metric{{100 * float64(s.CPU) / float64(s.Wall), "cpu-%"}}
}

// fewestTicks is how many ticks it takes to report in which mode processor time
// went: with fewer the standard error of the share may be above 10 points.
const fewestTicks = 25

// Efficiency returns cpu-%, as Metrics does, and what it consists of: user-% and
// sys-%, the shares of one processor that the own processes spent in user mode and
// in the kernel, where 25 ticks of the kernel's clock or more tell them apart; and
// shim-%, the share that the shim took, where there is one that took any.
func (s CallSample) Efficiency() []Metric {
	ms := s.busy()
	if len(ms) == 0 {
		return nil
	}
	share := func(part time.Duration) float64 { return 100 * float64(part) / float64(s.Wall) }
	if s.Ticks >= fewestTicks {
		ms = append(ms, Metric{share(s.User), "user-%"}, Metric{share(s.CPU - s.User), "sys-%"})
	}
	if s.Shim > 0 {
		ms = append(ms, Metric{share(s.Shim), "shim-%"})
	}
	return ms
}
