package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

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
	Err       error // why the rate was not sustained, and how late the generator was; nil where it was sustained
	// Undecided tells that Err may be the generator's own doing: it was late by itself
	// by a quarter of the limit for the latency or by what lacks of the rate. Nothing
	// is known of the instances then.
	Undecided bool
}

// Needed finds the fewest of a fleet's instances that sustain the rate of an open
// loop: at least 99 % of it is achieved, no request fails and the p99 of the latency
// is within its limit. It tries 1, 2, 4 and so on up to opts.Most, and then between the
// last that do not and the first that do; the fleet has as many services as are tried.
// script is asked what the load is in the window with that number, from 0.
//
// A window tells that a number of instances sustains the rate, which does not come about
// by chance. One in which it does not may be the host's doing: there is another, and
// only where most of three fail is a number rejected. Need.Tried has all. One in which
// it does not because the generator was late is none of the three; where that happens
// three times with one number, the error is an *UndecidedError.
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
			return nil, err
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

// mostUndecided is how many windows in which the generator was late are one too many.
const mostUndecided = 3

// decide returns the last of the windows by which it is known whether n instances
// sustain the rate: the first where they do, else the second that agrees.
func (s *search) decide(ctx context.Context, n int) (*Trial, error) {
	sustained, failed, undecided := 0, 0, 0
	for {
		t, err := s.try(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%d instances: %w", n, err)
		}
		s.tried = append(s.tried, *t)
		switch {
		case t.Err == nil:
			sustained++
		case !t.Undecided:
			failed++
		default:
			if undecided++; undecided == mostUndecided {
				return nil, &UndecidedError{Rate: s.plan.Rate, Instances: n, Tried: s.tried, Err: t.Err}
			}
			continue
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
	t := &Trial{Instances: n, Serving: serving}
	if err := t.judge(s.opts.P99); err != nil {
		return nil, err
	}
	return t, nil
}

// judge says whether the rate was sustained, or returns an error where the window was
// too short to know.
func (t *Trial) judge(limit time.Duration) error {
	s := t.Serving
	if t.Err = s.Err(); t.Err != nil {
		return nil // whoever asks late is answered too
	}
	p99, told := s.Percentile(99)
	switch {
	case s.unanswered() != nil:
		t.Err = s.unanswered()
	case s.Short():
		t.Err = fmt.Errorf("%.1f %% of the rate were achieved", 100*s.Result.Achieved())
	case !told:
		return fmt.Errorf("%d requests do not tell the latency at p99: make the window longer", s.Result.Requests)
	case p99 > limit:
		t.Err = fmt.Errorf("the latency at p99 was %v, where the limit is %v", p99, limit)
	default:
		return nil
	}
	lag, wait := at(s.Result.Lag, 99), at(s.Result.Wait, 99)
	t.Err = fmt.Errorf("%w; the load generator itself had lag-p99 %v and wait-p99 %v", t.Err, lag, wait)
	t.Undecided = max(lag, wait) >= limit/lateShare || s.Short() && at(s.Result.Lag, 100) >= s.lacking()
	return nil
}

// lateShare is the part of the limit for the latency by which a generator may not be
// late itself where a window is to tell something of the services.
const lateShare = 4

// lacking is for how long requests came due of which there was no answer in time.
func (s *Serving) lacking() time.Duration {
	return time.Duration((1 - s.Result.Achieved()) * float64(s.Result.Elapsed))
}

// at returns a value of nanoseconds in a histogram, 0 where there is none.
func at(h *hdrhistogram.Histogram, p float64) time.Duration {
	if count(h) == 0 {
		return 0
	}
	return time.Duration(h.ValueAtPercentile(p))
}

// An UndecidedError says that a load generator was too late by itself, again and again,
// to tell whether a rate is sustained. It needs a processor of its own, or less to do:
// a lower rate.
type UndecidedError struct {
	Rate      float64 // requests a second
	Instances int
	Tried     []Trial // all windows, in their order
	Err       error   // what was seen in the last of them
}

func (e *UndecidedError) Error() string {
	return fmt.Sprintf("whether %d instances sustain %g requests a second is not known, for the load generator was late itself in %d windows: %v; give it a processor of its own or a lower rate", e.Instances, e.Rate, mostUndecided, e.Err)
}

// Unwrap returns what was seen.
func (e *UndecidedError) Unwrap() error { return e.Err }

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
	var ms []Metric
	if s.BeginLate < s.Result.Elapsed { // else nothing was read of it
		ms = append(ms, Metric{cores(s.CPU), "cores"})
	}
	ms = append(ms, Metric{float64(s.Memory.Own.PSS), "pss-B"}, Metric{float64(n.Instances), "inst"})
	if s.SharedCPU > 0 {
		ms = append(ms, Metric{cores(s.SharedCPU), "daemon-cores"})
	}
	if s.Memory.Shared.PSS > 0 {
		ms = append(ms, Metric{float64(s.Memory.Shared.PSS), "daemon-pss-B"})
	}
	return append(ms, s.Metrics()...)
}
