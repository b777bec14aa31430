package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"
	"time"

	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	readyTime = 30 * time.Second // for a private daemon to answer
	endTime   = 10 * time.Second // for a killed private daemon to end

	// deathTime is how long its end may take to be known here after a
	// connection to it has broken.
	deathTime = time.Second
)

// A daemon is a program that listens at a socket until it is killed.
type daemon struct {
	name    string
	log     string
	process *os.Process
	exited  chan struct{} // err is set
	err     error
}

// startDaemon starts a daemon, which may not be ready yet.
func startDaemon(dir *rundir.Dir, env []string, name, program string, args ...string) (*daemon, error) {
	d := &daemon{name: name, log: dir.Path(name + ".log"), exited: make(chan struct{})}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir.Path(), env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.run(cmd); err != nil {
		return nil, fmt.Errorf("docker: starting %s: %w", name, err)
	}
	return d, nil
}

// run starts cmd from a thread that lives as long as the process does, because
// its death is what the kernel tells a child of.
func (d *daemon) run(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		d.process = cmd.Process
		started <- err
		if err == nil {
			d.err = cmd.Wait()
		}
		close(d.exited)
	}()
	return <-started
}

// ready waits until try succeeds, which is tried again unless it finds the
// daemon unavailable.
func (d *daemon) ready(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("not ready within %v", readyTime))
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || errors.As(err, new(*workload.Unavailable)) {
			return err
		}
		select {
		case <-d.exited:
			return fmt.Errorf("docker: %s ended while starting: %v; its log ends: %s", d.name, d.err, d.tail())
		case <-ctx.Done():
			return fmt.Errorf("docker: %s, which has been started, does not answer: %w; its log ends: %s", d.name, context.Cause(ctx), d.tail())
		case <-time.After(time.Millisecond):
		}
	}
}

// end kills the daemon if nothing else has, and waits until it has ended.
func (d *daemon) end() error {
	if err := d.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", d.name, err)
	}
	select {
	case <-d.exited:
		return nil
	case <-time.After(endTime):
		return fmt.Errorf("%s, process %d, did not end within %v of SIGKILL", d.name, d.process.Pid, endTime)
	}
}

// tail returns an excerpt of the daemon's log.
func (d *daemon) tail() string {
	f, err := os.Open(d.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var tail excerpt.Writer
	io.Copy(&tail, f)
	return tail.String()
}

// explain adds to an error of the daemon what is known about it, which may take
// deathTime.
func (l *link) explain(err error) error {
	if err != nil && l.private != nil && broken(err) {
		if daemons := l.private.daemons(); len(daemons) > 0 {
			select {
			case <-daemons[0].exited:
			case <-time.After(deathTime):
			}
		}
	}
	return l.ended(err)
}

// ended adds to an error that a daemon of ours has ended, if one has.
func (l *link) ended(err error) error {
	if err == nil || l.private == nil {
		return err
	}
	for _, d := range l.private.daemons() {
		select {
		case <-d.exited:
			return fmt.Errorf("the private %s has ended (%v; its log ends: %s): %w", d.name, d.err, d.tail(), err)
		default:
		}
	}
	return err
}

// broken reports whether a connection to the daemon could not be made or has
// ended early, and not because the guest has ended.
func broken(err error) bool {
	if client.IsErrConnectionFailed(err) {
		return true
	}
	if errors.As(err, new(*oci.ExitError)) {
		return false
	}
	for _, sign := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE} {
		if errors.Is(err, sign) {
			return true
		}
	}
	return false
}
