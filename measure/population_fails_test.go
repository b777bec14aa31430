package measure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestPopulationFails(t *testing.T) {
	refused := errors.New("refused")
	sixth := func(err error) func(int) error {
		return func(k int) error {
			if k == 5 {
				return err
			}
			return nil
		}
	}
	tests := []struct {
		name  string
		crowd *crowd
		opts  measure.PopulationOptions
		is    error
		held  int
	}{
		{"the sixth start", &crowd{fails: sixth(refused)}, measure.PopulationOptions{Parallel: 1}, refused, 5},
		{"the sixth start, others on their way", &crowd{takes: func(k int) time.Duration { return time.Duration(k) * ms }, fails: sixth(refused)}, measure.PopulationOptions{Parallel: 4}, refused, 7},
		{"every start", &crowd{fails: always(refused)}, measure.PopulationOptions{}, refused, 0},
		{"a start that hangs", &crowd{takes: func(k int) time.Duration {
			if k == 5 {
				return time.Hour
			}
			return ms
		}}, measure.PopulationOptions{Parallel: 1, OperationLimit: 20 * ms}, context.DeadlineExceeded, 5},
		{"a call that hangs", &crowd{calls: func(k int) time.Duration { return time.Duration(k/5) * time.Hour }}, measure.PopulationOptions{Parallel: 1, OperationLimit: 20 * ms}, context.DeadlineExceeded, 5},
		{"a wrong answer", &crowd{answer: func(k int) string { return map[bool]string{true: "pang", false: "pong"}[k == 5] }}, measure.PopulationOptions{Parallel: 1}, nil, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := tt.crowd
				p := measure.NewPopulation(c, c, roomy(tt.opts))
				err := p.Grow(t.Context(), 100)
				if tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && !errors.As(err, new(*workload.WrongAnswer)) {
					t.Errorf("error %v, want %v", err, tt.is)
				}
				if wantLimit := tt.is == context.DeadlineExceeded; errors.As(err, new(*measure.LimitError)) != wantLimit {
					t.Errorf("error %v: is it a *LimitError?", err)
				}
				if says := fmt.Sprintf("holding %d of 100", tt.held); err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("error %q does not say %q", err, says)
				}
				if p.Len() != tt.held || c.live != tt.held || len(p.Timelines()) != tt.held {
					t.Errorf("%d held, %d live, %d timelines; want %d", p.Len(), c.live, len(p.Timelines()), tt.held)
				}
				c.calls = nil
				if err := p.Check(t.Context(), 0); err != nil {
					t.Errorf("what is held does not answer: %v", err)
				}
				if err := p.Close(); err != nil || c.live != 0 {
					t.Errorf("%d live after Close, error %v", c.live, err)
				}
			})
		})
	}
}

// A runtime that has no more to give is a limit with a name.
func TestPopulationExhaustsItsRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{takes: always(ms), fails: func(k int) error {
			if k < 6 {
				return nil
			}
			return fmt.Errorf("starting: %w", &runtime.Exhausted{What: "seats", Why: "there are 6", Fix: "more seats"})
		}}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4}))
		err := p.Grow(t.Context(), 10)
		reached, ok := err.(*measure.LimitReached)
		if !ok || reached.Limit != measure.LimitRuntime || reached.Held != 6 || reached.Fix != "more seats" || !errors.As(err, new(*runtime.Exhausted)) {
			t.Errorf("error %#v", err)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live, error %v", c.live, err)
		}
	})
}

// After the end of the context nothing is begun, and Close still releases all.
func TestPopulationHonoursContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		c := &crowd{takes: always(10 * ms)}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4}))
		time.AfterFunc(55*ms, func() { cancel(why) })
		err := p.Grow(ctx, 1000)
		begun := c.begun
		if !errors.Is(err, why) || p.Len() == 0 || c.live != p.Len() {
			t.Errorf("error %v, %d held, %d live", err, p.Len(), c.live)
		}
		if err := p.Check(ctx, 0); !errors.Is(err, why) {
			t.Errorf("a check gave %v", err)
		}
		if err := p.Grow(ctx, 1000); !errors.Is(err, why) || c.begun != begun {
			t.Errorf("growing again gave %v and began %d starts", err, c.begun-begun)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live after Close, error %v", c.live, err)
		}
	})
}

// What has failed is not hidden by a limit that comes with it, whichever is first.
func TestPopulationFailsAtALimit(t *testing.T) {
	used := &runtime.Exhausted{What: "seats", Why: "there are 6", Fix: "more seats"}
	for name, of := range map[string]struct{ limit, wrong int }{"the limit first": {6, 7}, "the failure first": {7, 6}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{
					takes:  by(map[int]time.Duration{6: ms, 7: 5 * ms}),
					fails:  by(map[int]error{of.limit: used}),
					answer: func(k int) string { return map[bool]string{true: "pang", false: "pong"}[k == of.wrong] },
				}
				p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 2}))
				err := p.Grow(t.Context(), 10)
				if !errors.As(err, new(*workload.WrongAnswer)) || errors.As(err, new(*measure.LimitReached)) || errors.As(err, new(*runtime.Exhausted)) {
					t.Errorf("error %#v", err)
				}
				if says := "limit runtime"; err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "holding 6 of 10") {
					t.Errorf("error %q does not say %q", err, says)
				}
				if err := p.Close(); err != nil || c.live != 0 {
					t.Errorf("%d live, error %v", c.live, err)
				}
			})
		})
	}
}

// An instance of which nothing can be measured is refused and closed.
func TestPopulationRefusesTheBodiless(t *testing.T) {
	stuck := errors.New("stuck")
	c := &crowd{
		scope: func(k int) runtime.Scope {
			if k == 2 {
				return runtime.Scope{Shared: []int{os.Getpid()}, Cgroup: "/c"}
			}
			return runtime.Scope{Own: []int{1000000 + k}}
		},
		ends: func(k int) (time.Duration, error) { return 0, map[int]error{2: stuck}[k] },
	}
	p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
	err := p.Grow(t.Context(), 5)
	if says := "an instance of crowd has answered and names no process"; err == nil || !strings.Contains(err.Error(), says) || !errors.Is(err, stuck) {
		t.Errorf("error %v, want one that says %q and how closing went", err, says)
	}
	if p.Len() != 2 || c.live != 2 || len(p.Timelines()) != 2 {
		t.Errorf("%d held, %d live, %d timelines", p.Len(), c.live, len(p.Timelines()))
	}
	if err := p.Close(); err != nil || c.live != 0 {
		t.Errorf("%d live, error %v", c.live, err)
	}
}
