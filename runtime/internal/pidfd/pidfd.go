// Package pidfd holds on to processes and waits for their ends, of however many
// at a time, without a thread for each.
package pidfd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a process that another cannot be mistaken for, though its
// number be used again. Its methods are for any number of goroutines.
type Process struct {
	PID int

	file *os.File
	conn syscall.RawConn

	watch sync.Once
	over  chan struct{} // closed when the watching has ended: err is set
	err   error
}

// Open returns the process with the number pid. The caller then checks that it
// is the one meant, and closes it. The error wraps unix.ESRCH where there is no
// such process.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", pid, err)
	}
	// Only what does not block is waited for by Go's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("opening process %d: %w", pid, err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "process "+strconv.Itoa(pid))
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Process{PID: pid, file: file, conn: conn, over: make(chan struct{})}, nil
}

// Kill sends SIGKILL. That the process has ended is no error.
func (p *Process) Kill() error {
	var err error
	cerr := p.conn.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	if err == unix.ESRCH {
		err = nil
	}
	if err := errors.Join(cerr, err); err != nil {
		return fmt.Errorf("killing process %d: %w", p.PID, err)
	}
	return nil
}

// Await waits until the process has ended. Close ends the waiting with an error.
func (p *Process) Await() error {
	var err error
	cerr := p.conn.Read(func(fd uintptr) bool {
		var ended bool
		ended, err = readable(fd)
		return ended || err != nil
	})
	if err := errors.Join(cerr, err); err != nil {
		return fmt.Errorf("waiting for process %d: %w", p.PID, err)
	}
	return nil
}

// Ended reports whether the process has ended by now.
func (p *Process) Ended() (bool, error) {
	ended := false
	var err error
	cerr := p.conn.Control(func(fd uintptr) { ended, err = readable(fd) })
	if err := errors.Join(cerr, err); err != nil {
		return false, fmt.Errorf("asking whether process %d has ended: %w", p.PID, err)
	}
	return ended, nil
}

// readable reports whether a handle is, which is that its process has ended.
func readable(fd uintptr) (bool, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return n > 0, err
		}
	}
}

// Wait waits until the process has ended, for as long as limit, and reports
// whether it has.
func (p *Process) Wait(limit time.Duration) (bool, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.watched():
		return p.err == nil, p.err
	case <-t.C:
		return false, nil
	}
}

// WaitContext waits until the process has ended, which is nil, or until ctx has,
// of which it returns the cause.
func (p *Process) WaitContext(ctx context.Context) error {
	select {
	case <-p.watched():
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watched returns what is closed when the watching has ended, and begins it.
func (p *Process) watched() <-chan struct{} {
	p.watch.Do(func() {
		go func() {
			p.err = p.Await()
			close(p.over)
		}()
	})
	return p.over
}

// End kills a process and waits until it has ended.
func (p *Process) End() error {
	if err := p.Kill(); err != nil {
		return err
	}
	ended, err := p.Wait(killTime)
	if err == nil && !ended {
		err = fmt.Errorf("process %d did not end within %v of SIGKILL", p.PID, killTime)
	}
	return err
}

// killTime is how long a killed process may take to end.
const killTime = 10 * time.Second

// Close gives back the handle and ends all waiting; the process is not touched.
func (p *Process) Close() error { return p.file.Close() }
