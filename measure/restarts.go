package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Restarts restarts a live instance n times, each from before
// Restarter.Restart to the first checked answer. Stopping comes outside the
// clock and is in no phase. It returns a timeline for each, or the first error,
// after which the instance can only be closed. Of the options First has no
// meaning.
func Restarts(ctx context.Context, inst runtime.Instance, w workload.Workload, n int, opts StartOptions) ([]runtime.Timeline, error) {
	r, ok := inst.(runtime.Restarter)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be restarted", inst)
	}
	all := make([]runtime.Timeline, 0, n)
	err := sample(ctx, n, opts.Budget, opts.Limit, func(ctx context.Context, reset func(int)) error {
		if err := r.Stop(ctx); err != nil {
			return fmt.Errorf("stopping the guest: %w", err)
		}
		if opts.Before != nil {
			if err := opts.Before(ctx); err != nil {
				return err
			}
		}
		collect()
		reset(1)
		t := runtime.NewTimeline(time.Now())
		if err := r.Restart(ctx, t.Mark); err != nil {
			return err
		}
		if err := call(ctx, inst, w); err != nil {
			return err
		}
		t.Mark(runtime.Served, time.Now())
		all = append(all, *t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("after %d of %d restarts: %w", len(all), n, err)
	}
	return all, nil
}

// call makes one call and checks its answer.
func call(ctx context.Context, inst runtime.Instance, w workload.Workload) error {
	answer, err := inst.Call(ctx, w.Request())
	if err != nil {
		return err
	}
	return w.Check(answer)
}

// A PauseSample is what Pauses measured.
type PauseSample struct {
	Pause  []time.Duration // to freeze the instance
	Resume []time.Duration // from before it is thawed to the first checked answer
}

// Pauses freezes and thaws a live instance n times. Only Budget and Limit of
// the options are heeded; the limit is for a pause and a resume together.
func Pauses(ctx context.Context, inst runtime.Instance, w workload.Workload, n int, opts StartOptions) (PauseSample, error) {
	p, ok := inst.(runtime.Pauser)
	if !ok {
		return PauseSample{}, fmt.Errorf("a %T cannot be paused", inst)
	}
	var s PauseSample
	err := sample(ctx, n, opts.Budget, opts.Limit, func(ctx context.Context, reset func(int)) error {
		collect()
		reset(1)
		begin := time.Now()
		if err := p.Pause(ctx); err != nil {
			return fmt.Errorf("pausing: %w", err)
		}
		paused := time.Now()
		if err := p.Resume(ctx); err != nil {
			return fmt.Errorf("resuming: %w", err)
		}
		if err := call(ctx, inst, w); err != nil {
			return fmt.Errorf("after resuming: %w", err)
		}
		s.Pause = append(s.Pause, paused.Sub(begin))
		s.Resume = append(s.Resume, time.Since(paused))
		return nil
	})
	if err != nil {
		return PauseSample{}, fmt.Errorf("after %d of %d pauses: %w", len(s.Pause), n, err)
	}
	return s, nil
}

// Metrics returns the means pause-ns and resume-ns and the slowest of each,
// max-pause-ns and max-resume-ns.
func (s PauseSample) Metrics() []Metric {
	if len(s.Pause) == 0 {
		return nil
	}
	pause, resume := NewDistribution(s.Pause), NewDistribution(s.Resume)
	return []Metric{
		{float64(pause.Mean()), "pause-ns"}, {float64(pause.Max()), "max-pause-ns"},
		{float64(resume.Mean()), "resume-ns"}, {float64(resume.Max()), "max-resume-ns"},
	}
}
