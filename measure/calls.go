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
	Wall  time.Duration   // of all calls together
	CPU   time.Duration   // that the instance's own processes spent meanwhile
}

// Calls makes n calls of a live instance, one after the other, and checks each
// answer. It stops at the first error, and begins no call once budget has
// passed, though it always makes one; a budget of 0 is no bound.
func Calls(ctx context.Context, inst runtime.Instance, w workload.Workload, n int, budget time.Duration) (CallSample, error) {
	defer quiet()()
	s := CallSample{Times: make([]time.Duration, 0, n)}
	request, scope := w.Request(), inst.Scope()
	before, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	begin := time.Now()
	for last := begin; len(s.Times) < n; {
		answer, err := inst.Call(ctx, request)
		if err == nil {
			err = w.Check(answer)
		}
		now := time.Now()
		if err != nil {
			return s, fmt.Errorf("call %d of %d: %w", len(s.Times)+1, n, err)
		}
		s.Times = append(s.Times, now.Sub(last))
		last = now
		if budget > 0 && now.Sub(begin) >= budget {
			break
		}
	}
	s.Wall = time.Since(begin)
	after, err := CPU.Read(ctx, scope)
	if err != nil {
		return s, err
	}
	s.CPU = after.CPU - before.CPU
	return s, nil
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
