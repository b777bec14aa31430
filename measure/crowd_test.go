package measure_test

import (
	"context"
	"errors"
	"sync"
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
	scope  func(start int) runtime.Scope          // nil is a process for each, which is none of this host's
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
		return runtime.Scope{Own: []int{1000000 + m.start}}
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

// by gives to each start what is planted for it, and to the others nothing.
func by[T any](planted map[int]T) func(int) T { return func(start int) T { return planted[start] } }

// roomy are options whose limits no host of a test meets.
func roomy(o measure.PopulationOptions) measure.PopulationOptions {
	o.Limits.FreeMemory = 1
	return o
}
