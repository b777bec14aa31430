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
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

const (
	grace     = 250 * time.Millisecond // for a guest whose input has ended
	deathTime = 5 * time.Second        // for a guest whose output has ended
	runcTime  = 10 * time.Second       // for runc to make a container nobody waits for any more
	stopTime  = 20 * time.Second       // for everything that Close does
)

// container is a running guest. What it consists of is removed without runc:
// its processes by their cgroup, then the cgroup, the mount and the files, all
// of which are in places of wasmbench's own.
type container struct {
	image          *image
	id             string
	bundle, cgroup string

	conn   *worker.Conn
	stderr excerpt.Writer // of runc first, then of the guest
	pipe   *os.File       // whence stderr is read
	read   chan struct{}  // nothing is read any more

	runc   *exec.Cmd
	exited chan struct{} // runc has ended: err, ended and init are set
	err    error
	ended  time.Time
	init   *rundir.Process
}

// start runs runc and waits for the guest's greeting. The guest may be heard
// before runc has ended; what runc still does then is not waited for.
func (c *container) start(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	if err := c.exec(); err != nil {
		return err
	}
	err := c.conn.Ready(ctx)
	heard := time.Now()
	if err != nil {
		return c.explain(ctx, err)
	}
	started := heard
	select {
	case <-c.exited:
		if c.ended.Before(heard) {
			started = c.ended
		}
	default:
	}
	mark(runtime.Start, started)
	mark(runtime.Ready, heard)
	return nil
}

// exec starts runc with the guest's pipes as its own, which the guest inherits.
func (c *container) exec() error {
	var ours, theirs [3]*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	for n := range ours {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			closeAll(theirs[:])
			return err
		}
		ours[n], theirs[n] = r, w
		if n == 0 {
			ours[n], theirs[n] = w, r
		}
	}
	c.runc = exec.Command(c.image.runc, "--root", c.image.dir.Path("runc"), "--log", filepath.Join(c.bundle, "log"),
		"run", "--detach", "--bundle", c.bundle, "--pid-file", filepath.Join(c.bundle, "pid"), c.id)
	c.runc.Stdin, c.runc.Stdout, c.runc.Stderr = theirs[0], theirs[1], theirs[2]
	c.runc.Env = append(os.Environ(), c.image.dir.Env())
	err := c.runc.Start()
	closeAll(theirs[:])
	if err != nil {
		closeAll(ours[:])
		return err
	}
	c.conn, c.pipe = worker.New(ours[0], ours[1]), ours[2]
	c.read, c.exited = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.read)
		io.Copy(&c.stderr, c.pipe)
	}()
	go func() {
		defer close(c.exited)
		c.err = c.runc.Wait()
		c.ended = time.Now()
		if c.err == nil {
			c.init, c.err = c.openInit()
		}
	}()
	return nil
}

// openInit opens the container's first process, whose number runc has written.
// That it has ended already is no error.
func (c *container) openInit() (*rundir.Process, error) {
	b, err := os.ReadFile(filepath.Join(c.bundle, "pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("runc's pid file: %w", err)
	}
	p, err := rundir.Open(pid)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, nil
		}
		return nil, err
	}
	if !rundir.InCgroup(pid, c.cgroup) {
		return nil, p.Close()
	}
	return p, nil
}

// explain says why the guest was not heard, once runc and the guest have ended,
// ctx has, or they take too long.
func (c *container) explain(ctx context.Context, err error) error {
	select {
	case <-c.exited:
	case <-ctx.Done():
		return err
	case <-time.After(runcTime):
		return err
	}
	if c.err != nil {
		log, _ := os.ReadFile(filepath.Join(c.bundle, "log"))
		message := string(bytes.TrimSpace(log))
		if message == "" {
			message = c.stderr.String()
		}
		return oci.ClassifyCreate(fmt.Errorf("making the container: %w: %s", c.err, message), message)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return c.exit(ctx, err)
	}
	return err
}

// exit makes of an error that came with the end of the guest's output an
// *oci.ExitError if the guest ends indeed.
func (c *container) exit(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, deathTime)
	defer cancel()
	select {
	case <-c.exited:
	case <-ctx.Done():
		return err
	}
	if c.init != nil {
		deadline, _ := ctx.Deadline()
		if ended, _ := c.init.Wait(time.Until(deadline)); !ended {
			return err
		}
	}
	select {
	case <-c.read:
	case <-ctx.Done():
	}
	return &oci.ExitError{Status: -1, Stderr: c.stderr.String(), Err: err}
}

// Call asks the guest.
func (c *container) Call(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := c.conn.Call(ctx, request)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) {
		err = c.exit(ctx, err)
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
	select {
	case <-c.exited:
		if c.init != nil {
			s.Own = []int{c.init.PID}
		}
	case <-time.After(runcTime):
	}
	return s
}

// Close ends the guest, which is given a moment to end by itself, and removes
// its cgroup, its mount and its files.
func (c *container) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var errs []error
	if c.exited != nil {
		errs = append(errs, c.stop(ctx))
	}
	errs = append(errs, rundir.RemoveCgroup(ctx, c.cgroup))
	if c.exited != nil {
		errs = append(errs, c.pipe.Close()) // ends the reading even if somebody is left to write
		<-c.read
	}
	errs = append(errs, rundir.Unmount(filepath.Join(c.bundle, "rootfs")), os.RemoveAll(c.bundle), os.RemoveAll(c.image.dir.Path("runc", c.id)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("runc: removing container %s: %w", c.id, err)
	}
	return nil
}

// stop waits for runc, and for the guest until its grace is over.
func (c *container) stop(ctx context.Context) error {
	err := c.conn.Close()
	select {
	case <-c.exited:
	case <-time.After(runcTime):
		err = errors.Join(err, c.runc.Process.Kill())
		select {
		case <-c.exited:
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("waiting for runc: %w", context.Cause(ctx)))
		}
	}
	if c.init == nil {
		return err
	}
	defer c.init.Close()
	if ended, werr := c.init.Wait(grace); ended || werr != nil {
		return errors.Join(err, werr)
	}
	return errors.Join(err, c.init.End())
}
