package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
)

// NeedOptions say when a rate is sustained.
type NeedOptions struct {
	P99     time.Duration // that the latency may have
	Most    int           // instances that are tried
	Serving ServingOptions
}

// A Need is what it takes to sustain a rate.
type Need struct {
	Instances int
	Serving   *Serving // of so many, with what they had in memory
	Tried     []Trial  // all windows, in their order
}

// A Trial is one window with so many instances.
type Trial struct {
	Instances int
	Serving   *Serving
	Err       error // why the rate was not sustained; nil where it was
}

// Needed finds the fewest of a fleet's instances that sustain the rate of an open
// loop: at least 99 % of it is achieved, no request fails and the p99 of the latency
// is within its limit. It tries 1, 2, 4 and so on up to opts.Most, and then between the
// last that do not and the first that do; the fleet has as many services as are tried.
// script is asked what the load is in the window with that number, from 0.
//
// A window tells that a number of instances sustains the rate, which does not come about
// by chance. One in which it does not may be the host's doing: there is another, and
// only where most of three fail is a number rejected. Need.Tried has all.
//
// The plan's connections are rounded up to a multiple of the instances, so that each
// has the same load. A request fails ten times the limit after it was sent, two
// seconds at least, or after the plan's Timeout, where that is shorter: a window of a
// rate that is not sustained then does not take a minute to end.
//
// Where none sustain it the error is a *NotSustainedError. A service that ends is an
// error as Serve has it, and a window with too few requests to tell the p99 is one too.
func Needed(ctx context.Context, f *Fleet, plan load.Plan, script func(window int) (Script, error), opts NeedOptions) (*Need, error) {
	switch {
	case plan.Rate <= 0:
		return nil, errors.New("what a rate needs: the plan has none")
	case opts.P99 <= 0:
		return nil, errors.New("what a rate needs: there is no limit for the latency at p99")
	case opts.Most < 1:
		return nil, fmt.Errorf("what a rate needs: at most %d instances", opts.Most)
	}
	opts.Serving.Memory = true
	if hopeless := max(10*opts.P99, 2*time.Second); plan.Timeout == 0 || plan.Timeout > hopeless {
		plan.Timeout = hopeless
	}
	s := &search{fleet: f, plan: plan, script: script, opts: opts}
	var found *Trial
	few := 0 // the most of which it is known that they do not
	for n := min(1, opts.Most); found == nil || found.Instances > few+1; {
		t, err := s.decide(ctx, n)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%d instances: %w", n, err)
		case t.Err == nil:
			found = t
		case n == opts.Most:
			return nil, &NotSustainedError{Rate: plan.Rate, Instances: n, Serving: t.Serving, Tried: s.tried, Err: t.Err}
		default:
			few = n
		}
		if found == nil {
			n = min(2*n, opts.Most)
		} else {
			n = (few + found.Instances) / 2
		}
	}
	return &Need{Instances: found.Instances, Serving: found.Serving, Tried: s.tried}, nil
}

// A search is for the number of instances that sustain a rate.
type search struct {
	fleet  *Fleet
	plan   load.Plan
	script func(window int) (Script, error)
	opts   NeedOptions
	tried  []Trial
}

// decide returns the last of the windows by which it is known whether n instances
// sustain the rate: the first where they do, else the second that agrees.
func (s *search) decide(ctx context.Context, n int) (*Trial, error) {
	sustained, failed := 0, 0
	for {
		t, err := s.try(ctx, n)
		if err != nil {
			return nil, err
		}
		s.tried = append(s.tried, *t)
		if t.Err == nil {
			sustained++
		} else {
			failed++
		}
		if failed == 0 || failed == 2 || sustained == 2 {
			return t, nil
		}
	}
}

// try measures a window.
func (s *search) try(ctx context.Context, n int) (*Trial, error) {
	script, err := s.script(len(s.tried))
	if err == nil {
		err = s.fleet.Resize(ctx, n)
	}
	if err != nil {
		return nil, err
	}
	plan := s.plan
	plan.Connections = (max(plan.Connections, 1) + n - 1) / n * n
	serving, err := putLoad(ctx, s.fleet.Services(), plan, script, s.opts.Serving)
	if err != nil {
		return nil, err
	}
	why, err := strained(serving, s.opts.P99)
	if err != nil {
		return nil, err
	}
	return &Trial{Instances: n, Serving: serving, Err: why}, nil
}

// strained returns why a rate was not sustained, or an error where that is not known.
func strained(s *Serving, limit time.Duration) (why, err error) {
	if err := s.Err(); err != nil {
		return err, nil
	}
	if err := s.unanswered(); err != nil {
		return err, nil
	}
	if s.Short() {
		return fmt.Errorf("%.1f %% of the rate were achieved", 100*s.Result.Achieved()), nil
	}
	p99, ok := s.Percentile(99)
	if !ok {
		return nil, fmt.Errorf("%d requests do not tell the latency at p99: make the window longer", s.Result.Requests)
	}
	if p99 > limit {
		return fmt.Errorf("the latency at p99 was %v, where the limit is %v", p99, limit), nil
	}
	return nil, nil
}

// A NotSustainedError says that the most instances that were tried do not sustain a
// rate.
type NotSustainedError struct {
	Rate      float64 // requests a second
	Instances int
	Serving   *Serving // what they reached in the last window
	Tried     []Trial  // all windows, in their order
	Err       error    // why that is not enough; a *FailedError where requests failed
}

func (e *NotSustainedError) Error() string {
	return fmt.Sprintf("%d instances do not sustain %g requests a second: %v", e.Instances, e.Rate, e.Err)
}

// Unwrap returns why.
func (e *NotSustainedError) Unwrap() error { return e.Err }

// Metrics returns in cores how many processors the instances' own processes kept busy,
// in pss-B what they had in memory, and in inst how many they are; where there are
// shared processes, such as a daemon, theirs are daemon-cores and daemon-pss-B. How
// they did follows, as Serving has it.
func (n *Need) Metrics() []Metric {
	s := n.Serving
	cores := func(d time.Duration) float64 { return d.Seconds() / s.Result.Elapsed.Seconds() }
	ms := []Metric{
		{cores(s.CPU), "cores"},
		{float64(s.Memory.Own.PSS), "pss-B"},
		{float64(n.Instances), "inst"},
	}
	if s.SharedCPU > 0 {
		ms = append(ms, Metric{cores(s.SharedCPU), "daemon-cores"})
	}
	if s.Memory.Shared.PSS > 0 {
		ms = append(ms, Metric{float64(s.Memory.Shared.PSS), "daemon-pss-B"})
	}
	return append(ms, s.Metrics()...)
}
