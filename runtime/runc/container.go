package runc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

const (
	grace     = 250 * time.Millisecond // for a guest whose input has ended
	deathTime = 5 * time.Second        // for a guest whose output has ended
	runcTime  = 10 * time.Second       // for runc to make a container nobody waits for any more
	stopTime  = 20 * time.Second       // for everything that Stop or Close does
)

// errStopped is the error of asking a guest that Stop has ended.
var errStopped = errors.New("the guest is stopped")

// container is a bundle with a mounted root file system, and the life of the
// guest in it. What it consists of is removed without runc: its processes by
// their cgroup, then the cgroup, the mount and the files, all of which are in
// places of wasmbench's own.
type container struct {
	image          *image
	id             string
	bundle, cgroup string

	life   *life // nil while there is none
	paused bool  // its processes may be frozen
}

// start begins a life and waits for the guest's greeting. The guest may be
// heard before runc has ended; what runc still does then is not waited for.
func (c *container) start(ctx context.Context, mark func(runtime.Phase, time.Time)) (err error) {
	if c.life, err = c.begin(false); err != nil {
		return err
	}
	err = c.life.conn.Ready(ctx)
	heard := time.Now()
	if err != nil {
		return c.life.explain(ctx, err)
	}
	started := heard
	select {
	case <-c.life.exited:
		if c.life.ended.Before(heard) {
			started = c.life.ended
		}
	default:
	}
	mark(runtime.Start, started)
	mark(runtime.Ready, heard)
	return nil
}

// Call asks the guest.
func (c *container) Call(ctx context.Context, request []byte) ([]byte, error) {
	if c.life == nil {
		return nil, fmt.Errorf("runc: %w", errStopped)
	}
	answer, err := c.life.conn.Call(ctx, request)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) {
		err = c.life.exit(ctx, err)
	}
	if err != nil {
		return nil, fmt.Errorf("runc: %w", err)
	}
	return answer, nil
}

// Scope names the container's first process, unless runc hangs and has not told
// which that is.
func (c *container) Scope() runtime.Scope {
	s := runtime.Scope{Cgroup: c.cgroup}
	if c.life == nil {
		return s
	}
	select {
	case <-c.life.exited:
		if c.life.init != nil {
			s.Own = []int{c.life.init.PID}
		}
	case <-time.After(runcTime):
	}
	return s
}

// Stop ends the guest, which is given a moment to end by itself, and removes
// its cgroup and runc's record of it. The bundle stays, its root file system
// mounted. What it has begun it finishes even if ctx ends.
func (c *container) Stop(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil && c.life == nil {
		err = errStopped
	}
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return fmt.Errorf("runc: stopping container %s: %w", c.id, err)
	}
	return nil
}

// Restart has runc run the same bundle again. Its marks are those of Start, but
// for Load.
func (c *container) Restart(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	err := context.Cause(ctx)
	if err == nil && c.life != nil {
		err = errors.New("the guest is not stopped")
	}
	if err == nil {
		err = c.start(ctx, mark)
	}
	if err != nil {
		return fmt.Errorf("runc: restarting container %s: %w", c.id, err)
	}
	return nil
}

// Pause freezes the container's processes by runc pause.
func (c *container) Pause(ctx context.Context) error { return c.control(ctx, "pause", true) }

// Resume thaws them by runc resume.
func (c *container) Resume(ctx context.Context) error { return c.control(ctx, "resume", false) }

func (c *container) control(ctx context.Context, verb string, pauses bool) error {
	err := context.Cause(ctx)
	if err == nil && c.life == nil {
		err = errStopped
	}
	if err == nil {
		err = c.life.made(ctx)
	}
	if err == nil {
		c.paused = true // until it is known to be resumed
		cmd := exec.CommandContext(ctx, c.image.runc, "--root", c.image.dir.Path("runc"), verb, c.id)
		cmd.Env = append(os.Environ(), c.image.dir.Env())
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("runc %s: %w: %s", verb, errors.Join(err, context.Cause(ctx)), bytes.TrimSpace(out))
		} else {
			c.paused = pauses
		}
	}
	if err != nil {
		return fmt.Errorf("runc: container %s: %w", c.id, err)
	}
	return nil
}

// end ends the life that there is.
func (c *container) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	l := c.life
	c.life = nil
	// A frozen guest does not notice that its input has ended.
	err := l.end(ctx, l.conn != nil && !c.paused)
	c.paused = false
	return err
}

// Close ends the guest, which is given a moment to end by itself, and removes
// its cgroup, its mount and its files.
func (c *container) Close() error {
	var errs []error
	if c.life != nil {
		errs = append(errs, c.end())
	}
	err := rundir.Unmount(filepath.Join(c.bundle, "rootfs"))
	if err == nil {
		err = os.RemoveAll(c.bundle)
	}
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("runc: removing container %s: %w", c.id, err)
	}
	return nil
}
