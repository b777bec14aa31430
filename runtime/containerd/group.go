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

// shimTime is how long a shim may take to end after its last task.
const shimTime = 10 * time.Second

// A group is the tasks of a run that are under one shim; nil is that of tasks
// with a shim each. The shim comes with the first task and goes with the last,
// and guards neither: two first tasks at a time could get a shim each, and one
// that is made while the last other one ends could get a shim that is ending. A
// group keeps these from meeting; all else goes on side by side.
type group struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a number below changes

	starting, running, ending int // tasks; only those that run are sure to keep the shim

	shim   *pidfd.Process // nil while it is not known
	socket string         // of the shim
}

func newGroup(socket string) *group { return &group{changed: make(chan struct{}), socket: socket} }

// enter waits until a task can be made. joined is called once that was tried.
func (g *group) enter(ctx context.Context) error {
	if g == nil {
		return nil
	}
	return g.when(ctx,
		func() bool { return g.running > 0 || g.starting+g.ending == 0 },
		func() { g.starting++ })
}

// joined says how the making of a task that had entered went. The task is to
// leave even if it was not made. pid is its process, whose parent is the shim.
func (g *group) joined(pid int, made bool) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.starting--
	if !made {
		g.ending++
	} else {
		g.running++
		if g.shim == nil {
			g.shim = openShim(pid)
		}
	}
	g.tell()
}

// leave has a task ended and waits for the end of the shim if it was the last.
// running tells whether the task was made; it still is if end fails.
func (g *group) leave(ctx context.Context, running bool, end func() error) error {
	if g == nil {
		return end()
	}
	if running {
		// Those that start may rely on this one.
		err := g.when(ctx, func() bool { return g.running > 1 || g.starting == 0 }, func() { g.running--; g.ending++ })
		if err != nil {
			return err
		}
	}
	err := end()
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.tell()
	if err != nil && running {
		g.running++
	}
	g.ending--
	if err == nil && g.starting+g.running+g.ending == 0 {
		err = g.endShim()
	}
	return err
}

// endShim waits until the shim, which has no task left, has ended, and removes
// its socket.
func (g *group) endShim() error {
	var errs []error
	if g.shim != nil {
		ended, err := g.shim.Wait(shimTime)
		if err == nil && !ended {
			err = fmt.Errorf("the shim, process %d, did not end within %v of its last task", g.shim.PID, shimTime)
		}
		errs = append(errs, err, g.shim.Close())
		g.shim = nil
	}
	return errors.Join(append(errs, rundir.RemoveSockets(g.socket))...)
}

// close gives back what is known of the shim, which is not touched.
func (g *group) close() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shim == nil {
		return nil
	}
	err := g.shim.Close()
	g.shim = nil
	return err
}

// when does something at once when it is free to be done.
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
	g.tell()
	return nil
}

// tell wakes who waits for a change. The caller holds the lock.
func (g *group) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// openShim returns the shim that is the parent of a process, or nil where that
// has ended.
func openShim(pid int) *pidfd.Process {
	number := shimOf(pid)
	if number == 0 {
		return nil
	}
	shim, err := pidfd.Open(number)
	if err != nil {
		return nil
	}
	if shimOf(pid) != number { // another may have the number
		shim.Close()
		return nil
	}
	return shim
}
