package containerd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// groupAnnotation, in a container's specification, has a shim for runc look
// after all containers of the same value. A label of that name does nothing.
const groupAnnotation = "io.containerd.runc.v2.group"

// groupName is the value of groupAnnotation, which counts within a namespace.
const groupName = "all"

const (
	turnTime = 2 * cleanTime    // for other tasks of a shim to be made or to end
	shimTime = 10 * time.Second // for a shim to end after its last task
)

// A group is the tasks of a run that are under one shim. The shim comes with the
// first task and goes with the last, and guards neither: two first tasks at a
// time could get a shim each, and one that is made while the last other one ends
// could get a shim that is ending. A group keeps these from meeting; all else
// goes on side by side.
type group struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when something below changes

	starting, ending int   // members
	shim             *shim // of the members that run; nil while there is none
	socket           string
}

// A shim is a process and the members that are under it.
type shim struct {
	process *pidfd.Process // nil if it could not be found
	running int
}

// A member is a task's part in a group, from before it is made until it has
// ended: enter makes it, joined is called if the task could be made, and leave
// in any case. A nil member is that of a task with a shim of its own.
type member struct {
	group *group
	stage stage
	shim  *shim // in the stage running
}

type stage int

const (
	gone stage = iota // and no part of the group any more
	starting
	running
	ending
)

func newGroup(socket string) *group { return &group{changed: make(chan struct{}), socket: socket} }

// enter waits until a task can be made.
func (g *group) enter(ctx context.Context) (*member, error) {
	if g == nil {
		return nil, nil
	}
	free := func() bool { return g.live() && g.shim.running > 0 || g.starting+g.ending == 0 }
	if err := g.when(ctx, free, func() { g.starting++ }); err != nil {
		return nil, err
	}
	return &member{group: g, stage: starting}, nil
}

// joined says that the task was made. pid is its process, whose parent is the
// shim.
func (m *member) joined(pid int) {
	if m == nil {
		return
	}
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.live() {
		g.shim = &shim{}
	}
	if g.shim.process == nil {
		g.shim.process = openShim(pid)
	}
	m.shim = g.shim
	m.move(running)
}

// leave has the task ended and, after the last one, waits for the end of the
// shim. A task that was made and that end could not end is still a member, and
// is to leave again; one that could not even be made is none in any case.
func (m *member) leave(ctx context.Context, end func() error) error {
	if m == nil || m.stage == gone {
		return end()
	}
	g, made := m.group, m.stage == running
	// Those that start may rely on this one.
	free := func() bool { return !made || !g.live() || m.shim != g.shim || m.shim.running > 1 || g.starting == 0 }
	if err := g.when(ctx, free, func() { m.move(ending) }); err != nil {
		return err
	}
	err := end()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && made {
		m.move(running)
		return err
	}
	if g.starting == 0 && g.ending == 1 && (g.shim == nil || g.shim.running == 0) {
		last := g.shim
		g.shim = nil
		g.mu.Unlock() // nobody enters while this one is ending
		err = errors.Join(err, last.end(ctx), rundir.RemoveSockets(g.socket))
		g.mu.Lock()
	}
	m.move(gone)
	return err
}

// move counts a member in another stage. The caller holds the group's lock.
func (m *member) move(to stage) {
	count := func(s stage, by int) {
		switch s {
		case starting:
			m.group.starting += by
		case running:
			m.shim.running += by
		case ending:
			m.group.ending += by
		}
	}
	count(m.stage, -1)
	count(to, +1)
	m.stage = to
	m.group.tell()
}

// live reports whether there is a shim. One that has died with its tasks, as no
// shim does by itself, is forgotten. The caller holds the lock.
func (g *group) live() bool {
	if s := g.shim; s != nil && s.process != nil && s.running > 0 {
		if ended, err := s.process.Ended(); ended && err == nil {
			s.process.Close()
			g.shim = nil
		}
	}
	return g.shim != nil
}

// end waits until a shim that has no task left has ended.
func (s *shim) end(ctx context.Context) error {
	if s == nil || s.process == nil {
		return nil
	}
	defer s.process.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, shimTime, fmt.Errorf("it has not within %v", shimTime))
	defer cancel()
	if err := s.process.WaitContext(ctx); err != nil {
		return fmt.Errorf("waiting until the shim, process %d, ends after its last task: %w", s.process.PID, err)
	}
	return nil
}

// close gives back what is known of the shim, which is not touched.
func (g *group) close() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shim == nil || g.shim.process == nil {
		return nil
	}
	return g.shim.process.Close()
}

// when does something at once when it is free to be done. Both are called with
// the lock held.
func (g *group) when(ctx context.Context, free func() bool, do func()) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !free() {
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		g.mu.Lock()
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("waiting for the shim's other tasks: %w", err)
		}
	}
	do()
	return nil
}

// tell wakes who waits for a change. The caller holds the lock.
func (g *group) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// openShim returns the shim that is the parent of a process, or nil where that
// cannot be found.
func openShim(pid int) *pidfd.Process {
	number, err := shimOf(pid)
	if err != nil || number == 0 {
		return nil
	}
	shim, err := pidfd.Open(number)
	if err != nil {
		return nil
	}
	if again, err := shimOf(pid); err != nil || again != number { // another may have the number
		shim.Close()
		return nil
	}
	return shim
}
