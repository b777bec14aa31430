package measure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A crowd is an image whose starts and instances do what was planted, and a
// workload. The fields after mu are what came of it.
type crowd struct {
	takes  func(start int) time.Duration          // from Start to Ready; nil is no time
	fails  func(start int) error                  // nil is never
	answer func(start int) string                 // nil is the right one
	scope  func(start int) runtime.Scope          // nil is none
	calls  func(start int) (d time.Duration)      // how long a call takes; nil is no time
	ends   func(start int) (time.Duration, error) // of Close

	mu                                sync.Mutex
	begun, live, running, most, asked int
	dead                              map[int]bool
	askedOf                           map[int]int
}

func (c *crowd) Name() string                                            { return "crowd" }
func (c *crowd) Artifact(context.Context, workload.Form) (string, error) { return "", nil }
func (c *crowd) Request() []byte                                         { return []byte("ping") }
func (c *crowd) Bytes() int64                                            { return 0 }
func (c *crowd) Close() error                                            { return nil }
func (c *crowd) Check(answer []byte) error {
	if string(answer) != "pong" {
		return &workload.WrongAnswer{Workload: "crowd", Got: answer, Want: []byte("pong")}
	}
	return nil
}

// do changes what came of it.
func (c *crowd) do(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// pass lets so much time pass, or returns why ctx has ended.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *crowd) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	m := &member{crowd: c}
	c.do(func() {
		m.start = c.begun
		c.begun++
		c.running++
		c.most = max(c.most, c.running)
	})
	defer c.do(func() { c.running-- })
	if c.takes != nil {
		if err := pass(ctx, c.takes(m.start)); err != nil {
			return nil, err
		}
	}
	if c.fails != nil {
		if err := c.fails(m.start); err != nil {
			return nil, err
		}
	}
	mark(runtime.Ready, time.Now())
	c.do(func() { c.live++ })
	return m, nil
}

// A member is an instance of a crowd.
type member struct {
	*crowd
	start int
}

var errDead = errors.New("dead")

func (m *member) Call(ctx context.Context, _ []byte) ([]byte, error) {
	if m.calls != nil {
		if err := pass(ctx, m.calls(m.start)); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.askedOf == nil {
		m.askedOf = map[int]int{}
	}
	m.askedOf[m.start]++
	if m.dead[m.start] {
		return nil, errDead
	}
	if m.answer != nil {
		return []byte(m.answer(m.start)), nil
	}
	return []byte("pong"), nil
}

func (m *member) Scope() runtime.Scope {
	if m.scope == nil {
		return runtime.Scope{}
	}
	return m.scope(m.start)
}

func (m *member) Close() error {
	m.do(func() { m.live-- })
	if m.ends == nil {
		return nil
	}
	d, err := m.ends(m.start)
	time.Sleep(d)
	return err
}

// always returns what gives the same to every start.
func always[T any](v T) func(int) T { return func(int) T { return v } }

// roomy are options whose limits no host of a test meets.
func roomy(o measure.PopulationOptions) measure.PopulationOptions {
	o.Limits.FreeMemory = 1
	return o
}

func TestPopulationStartsInParallel(t *testing.T) {
	for _, parallel := range []int{1, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			c := &crowd{takes: always(10 * ms)}
			p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: parallel}))
			begin := time.Now()
			if err := p.Grow(t.Context(), 16); err != nil {
				t.Fatal(err)
			}
			took, serial := time.Since(begin), 160*ms
			if c.most != parallel || took < serial/time.Duration(parallel) || (took < serial) != (parallel > 1) {
				t.Errorf("parallel %d: %d starts at a time, %v in all where one after the other is %v", parallel, c.most, took, serial)
			}
			if p.Len() != 16 || c.live != 16 || c.asked != 16 {
				t.Errorf("%d held, %d live, %d asked", p.Len(), c.live, c.asked)
			}
			for _, tl := range p.Timelines() {
				if tl.FirstAnswer() != 10*ms || tl.Durations[runtime.Stop] != 0 {
					t.Errorf("durations %v", tl.Durations)
				}
			}
			if err := p.Close(); err != nil || c.live != 0 {
				t.Errorf("%d live after Close, error %v", c.live, err)
			}
		})
	}
}

func TestPopulationGrowsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The third and the fourth start together, and the third ends last.
		c := &crowd{takes: func(k int) time.Duration { return []time.Duration{1, 2, 40, 30, 5}[k] * ms }}
		var told []int
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 2, Progress: func(held int) { told = append(told, held) }}))
		for _, n := range []int{0, 4, 2, 5} {
			if err := p.Grow(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		var took []time.Duration
		for _, tl := range p.Timelines() {
			took = append(took, tl.FirstAnswer()/ms)
		}
		if want := []time.Duration{1, 2, 30, 40, 5}; !slices.Equal(took, want) || p.Len() != 5 {
			t.Errorf("%d held, first answers after %d ms, want %d", p.Len(), took, want)
		}
		if told != nil {
			t.Errorf("progress was told of %v within a second", told)
		}
		c.takes = always(400 * ms)
		if err := p.Grow(t.Context(), 25); err != nil {
			t.Fatal(err)
		}
		if len(told) < 2 || len(told) > 4 || !slices.IsSorted(told) || told[0] <= 5 {
			t.Errorf("in 4 seconds progress was told of %v", told)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live, error %v", c.live, err)
		}
	})
}

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
		}}, measure.PopulationOptions{Parallel: 1, Limit: 20 * ms}, context.DeadlineExceeded, 5},
		{"a call that hangs", &crowd{calls: func(k int) time.Duration { return time.Duration(k/5) * time.Hour }}, measure.PopulationOptions{Parallel: 1, Limit: 20 * ms}, context.DeadlineExceeded, 5},
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
		if !ok || reached.Limit != "runtime" || reached.Held != 6 || reached.Fix != "more seats" || !errors.As(err, new(*runtime.Exhausted)) {
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

func TestPopulationCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4, Limit: time.Second}))
		if err := p.Check(t.Context(), 3); err != nil {
			t.Errorf("nobody was asked: %v", err)
		}
		if err := p.Grow(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ sample, asked int }{{7, 7}, {0, 20}, {-1, 20}, {20, 20}, {21, 20}} {
			c.asked, c.askedOf = 0, nil
			if err := p.Check(t.Context(), tt.sample); err != nil || c.asked != tt.asked || len(c.askedOf) != tt.asked {
				t.Errorf("a sample of %d: %d calls of %d instances, error %v; want %d", tt.sample, c.asked, len(c.askedOf), err, tt.asked)
			}
		}
		c.dead = map[int]bool{3: true, 17: true}
		err := p.Check(t.Context(), 0)
		if says := "20 were asked and 2 of these failed"; !errors.Is(err, errDead) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
		c.dead, c.calls = nil, func(k int) time.Duration { return time.Duration(k/19) * time.Hour }
		if err := p.Check(t.Context(), 0); !errors.As(err, new(*measure.LimitError)) {
			t.Errorf("one that hangs gave %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPopulationCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, leaks := errors.New("stuck"), errors.New("leaks")
		c := &crowd{ends: func(k int) (time.Duration, error) {
			return 10 * ms, map[int]error{2: stuck, 5: leaks}[k]
		}}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4}))
		if err := p.Grow(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := p.Close(); !errors.Is(err, stuck) || !errors.Is(err, leaks) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 20*ms || c.live != 0 || p.Len() != 0 {
			t.Errorf("%d live and %d held after %v", c.live, p.Len(), took)
		}
		if err := p.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if err := p.Grow(t.Context(), 1); !errors.Is(err, measure.ErrPopulationClosed) || c.begun != 8 {
			t.Errorf("growing a closed population gave %v and %d starts", err, c.begun)
		}
		if len(p.Timelines()) != 8 {
			t.Errorf("%d timelines are left of 8", len(p.Timelines()))
		}
	})
}

func TestPopulationScope(t *testing.T) {
	tests := []struct {
		name  string
		scope func(int) runtime.Scope
		want  runtime.Scope
	}{
		{"processes", func(k int) runtime.Scope { return runtime.Scope{Own: []int{1000000 + k}} }, runtime.Scope{Own: []int{1000000, 1000001, 1000002}}},
		{"containers", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{1000000 + k, 2000000 + k}, Shared: []int{3000001, 3000000}, Shim: 2000000 + k, Cgroup: fmt.Sprint("/c", k)}
		}, runtime.Scope{Own: []int{1000000, 1000001, 1000002, 2000000, 2000001, 2000002}, Shared: []int{3000000, 3000001}}},
		{"containers that share a shim", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{1000000 + k}, Shared: []int{2000000}, Shim: 2000000, Cgroup: "/c"}
		}, runtime.Scope{Own: []int{1000000, 1000001, 1000002}, Shared: []int{2000000}, Shim: 2000000, Cgroup: "/c"}},
		{"somebody's own is another's shared", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{1000000 + k}, Shared: []int{1000000}}
		}, runtime.Scope{Own: []int{1000000, 1000001, 1000002}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &crowd{scope: tt.scope}
			p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
			defer p.Close()
			if err := p.Grow(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			got := p.Scope()
			if !slices.Equal(got.Own, tt.want.Own) || !slices.Equal(got.Shared, tt.want.Shared) || got.Shim != tt.want.Shim || got.Cgroup != tt.want.Cgroup {
				t.Errorf("scope %+v, want %+v", got, tt.want)
			}
		})
	}
}
