package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A CallSample is what Calls measured.
type CallSample struct {
	Times []time.Duration // of each call, from before Instance.Call until its answer was checked
	Wall  time.Duration   // from before the first to after the last
	CPU   time.Duration   // that the instance's own processes spent meanwhile
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
	defer quiet()()
	ctx, reset, stop := watchdog(ctx, opts.Limit)
	defer stop()
	s := CallSample{Times: make([]time.Duration, 0, n)}
	scope := inst.Scope()
	before, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	_, timer := inst.(runtime.CallTimer)
	begin := time.Now()
	for batch := 1; len(s.Times) < n && (opts.Budget == 0 || len(s.Times) == 0 || time.Since(begin) < opts.Budget); batch = min(2*batch, largestBatch) {
		if !timer {
			batch = 1
		}
		reset(batch)
		times, err := calls(ctx, inst, w, min(batch, n-len(s.Times)))
		if err != nil {
			return s, fmt.Errorf("after %d of %d calls: %w", len(s.Times), n, err)
		}
		s.Times = append(s.Times, times...)
	}
	s.Wall = time.Since(begin)
	after, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	s.CPU = after.CPU - before.CPU
	return s, nil
}

// calls makes up to n calls, as many as the instance can by itself.
func calls(ctx context.Context, inst runtime.Instance, w workload.Workload, n int) ([]time.Duration, error) {
	request := w.Request()
	if timer, ok := inst.(runtime.CallTimer); ok {
		return timer.TimeCalls(ctx, n, request, w.Check)
	}
	begin := time.Now()
	answer, err := inst.Call(ctx, request)
	if err == nil {
		err = w.Check(answer)
	}
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	return []time.Duration{took}, nil
}

// Metrics returns the distribution of the calls' times and cpu-%, the share of
// one processor that the instance's own processes kept busy.
func (s CallSample) Metrics() []Metric {
	ms := NewDistribution(s.Times).Metrics()
	if s.CPU > 0 && s.Wall > 0 {
		ms = append(ms, Metric{100 * float64(s.CPU) / float64(s.Wall), "cpu-%"})
	}
	return ms
}
