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

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// life is a guest from runc run to its end.
type life struct {
	container *container

	conn *worker.Conn   // nil for a server
	log  excerpt.Writer // what runc wrote and then the guest: a worker's standard error, all of a server's output
	pipe *os.File       // whence log is read
	read chan struct{}  // nothing is read any more

	runc   *exec.Cmd
	exited chan struct{} // runc has ended: err, ended and init are set
	err    error
	ended  time.Time
	init   *pidfd.Process

	gone chan struct{} // for a server: the guest has ended
}

// begin starts runc with the guest's pipes as its own, which the guest
// inherits. A server has no input and one pipe for all that it writes.
func (c *container) begin(serves bool) (*life, error) {
	if err := hostdir.Check(c.image.directory); err != nil {
		return nil, err
	}
	var ours, theirs [3]*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	defer closeAll(theirs[:])
	for n := range ours {
		if serves && n < 2 {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(ours[:])
			return nil, err
		}
		ours[n], theirs[n] = r, w
		if n == 0 {
			ours[n], theirs[n] = w, r
		}
	}
	l := &life{container: c, pipe: ours[2], read: make(chan struct{}), exited: make(chan struct{})}
	l.runc = exec.Command(c.image.runc, "--root", c.image.dir.Path("runc"), "--log", filepath.Join(c.bundle, "log"),
		"run", "--detach", "--bundle", c.bundle, "--pid-file", filepath.Join(c.bundle, "pid"), c.id)
	l.runc.Env = append(os.Environ(), c.image.dir.Env())
	l.runc.Stderr = theirs[2]
	if serves {
		l.runc.Stdout = theirs[2]
		l.gone = make(chan struct{})
	} else {
		l.runc.Stdin, l.runc.Stdout = theirs[0], theirs[1]
		l.conn = worker.New(ours[0], ours[1])
	}
	if err := l.runc.Start(); err != nil {
		closeAll(ours[:])
		return nil, err
	}
	go func() {
		defer close(l.read)
		io.Copy(&l.log, l.pipe)
	}()
	go l.watch()
	return l, nil
}

// watch learns of the end of runc and, for a server, of the guest's.
func (l *life) watch() {
	l.err = l.runc.Wait()
	l.ended = time.Now()
	if l.err == nil {
		l.init, l.err = l.openInit()
	}
	close(l.exited)
	if l.gone == nil {
		return
	}
	defer close(l.gone)
	if l.init != nil {
		l.init.Await()
	}
}

// openInit opens the container's first process, whose number runc has written.
// That it has ended already is no error.
func (l *life) openInit() (*pidfd.Process, error) {
	b, err := os.ReadFile(filepath.Join(l.container.bundle, "pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("runc's pid file: %w", err)
	}
	p, err := pidfd.Open(pid)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, nil
		}
		return nil, err
	}
	if !rundir.InCgroup(pid, l.container.cgroup) {
		return nil, p.Close()
	}
	return p, nil
}

// made waits until runc has made and started the container.
func (l *life) made(ctx context.Context) error {
	select {
	case <-l.exited:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.err == nil {
		return nil
	}
	log, _ := os.ReadFile(filepath.Join(l.container.bundle, "log"))
	message := string(bytes.TrimSpace(log))
	if message == "" {
		message = l.log.String()
	}
	return oci.ClassifyCreate(fmt.Errorf("making the container: %w: %s", l.err, message), message)
}

// explain says why the guest was not heard, once runc and the guest have ended,
// ctx has, or they take too long.
func (l *life) explain(ctx context.Context, err error) error {
	limited, cancel := context.WithTimeout(ctx, runcTime)
	defer cancel()
	if merr := l.made(limited); limited.Err() != nil {
		return err
	} else if merr != nil {
		return merr
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return l.exit(ctx, err)
	}
	return err
}

// exit makes of an error that came with the end of the guest's output an
// *oci.ExitError if the guest ends indeed.
func (l *life) exit(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, deathTime)
	defer cancel()
	select {
	case <-l.exited:
	case <-ctx.Done():
		return err
	}
	if l.init != nil && !l.over() {
		deadline, _ := ctx.Deadline()
		if ended, _ := l.init.Wait(time.Until(deadline)); !ended {
			return err
		}
	}
	select {
	case <-l.read:
	case <-ctx.Done():
	}
	return oci.ClassifyExit(&oci.ExitError{Status: -1, Stderr: l.log.String(), Err: err})
}

// over reports whether a server is known to have ended: then its handle may have
// been given back.
func (l *life) over() bool {
	if l.gone == nil {
		return false
	}
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// end waits for runc and, if patient, for the guest until its grace is over,
// and removes all but the bundle.
func (l *life) end(ctx context.Context, patient bool) error {
	c := l.container
	var errs []error
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	known, err := l.waitForRunc(ctx)
	errs = append(errs, err)
	if known && patient && l.init != nil {
		_, err := l.init.Wait(grace)
		errs = append(errs, err)
	}
	errs = append(errs, rundir.RemoveCgroup(ctx, c.cgroup)) // kills, and thaws before
	if known && l.init != nil {
		errs = append(errs, l.release())
	}
	errs = append(errs, l.pipe.Close()) // ends the reading even if somebody is left to write
	<-l.read
	errs = append(errs, os.RemoveAll(c.image.dir.Path("runc", c.id)))
	return errors.Join(errs...)
}

// release makes sure that the guest has ended and gives the handle on it back.
func (l *life) release() error {
	if err := l.init.End(); err != nil {
		return err // the handle stays open for whoever waits on it
	}
	if l.gone != nil {
		<-l.gone
	}
	return l.init.Close()
}

// waitForRunc waits until runc has ended, by force if it takes too long, and
// reports whether it has.
func (l *life) waitForRunc(ctx context.Context) (bool, error) {
	select {
	case <-l.exited:
		return true, nil
	case <-time.After(runcTime):
	}
	err := l.runc.Process.Kill()
	select {
	case <-l.exited:
		return true, err
	case <-ctx.Done():
		return false, errors.Join(err, fmt.Errorf("waiting for runc: %w", context.Cause(ctx)))
	}
}
