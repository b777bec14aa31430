package rundir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a process that another cannot be mistaken for, though its
// number be used again.
type Process struct {
	PID int
	fd  int
}

// Open returns the process with the number pid. The caller then checks that it
// is the one meant, and closes it. The error wraps unix.ESRCH where there is no
// such process.
func Open(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("opening process %d: %w", pid, err)
	}
	return &Process{PID: pid, fd: fd}, nil
}

// Kill sends SIGKILL. That the process has ended is no error.
func (p *Process) Kill() error {
	if err := unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("killing process %d: %w", p.PID, err)
	}
	return nil
}

// Wait waits until the process has ended, for as long as limit, and reports
// whether it has.
func (p *Process) Wait(limit time.Duration) (bool, error) {
	end := time.Now().Add(limit)
	for {
		left := max(time.Until(end), 0)
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		return n > 0, err
	}
}

// Close gives back the handle; the process is not touched.
func (p *Process) Close() error { return unix.Close(p.fd) }

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

// killRun kills the processes of a run, first those that could start others,
// and returns the shim sockets that they held.
func killRun(ctx context.Context, dir, id string) (sockets []string, err error) {
	mark := append(append([]byte{0}, envOf(dir)...), 0)
	for range 100 {
		marked, err := processesWith(mark)
		if err != nil {
			return sockets, err
		}
		held, err := listening(marked)
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, held...)
		killed := endAll(marked, func(pid int) bool { return hasMark(pid, mark) })
		more, err := killCgroup(cgroupOf(id))
		if killed.err != nil || err != nil {
			return sockets, errors.Join(killed.err, err)
		}
		if killed.n+more == 0 {
			return sockets, nil
		}
		if err := context.Cause(ctx); err != nil {
			return sockets, err
		}
	}
	return sockets, errors.New("its processes keep starting others")
}

// processesWith lists the processes whose environment has the mark, those that
// have been longest there first.
func processesWith(mark []byte) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && hasMark(pid, mark) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func hasMark(pid int, mark []byte) bool {
	env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	return err == nil && bytes.Contains(append([]byte{0}, env...), mark)
}

type killed struct {
	n   int
	err error
}

// endAll kills those of pids that are still ours once a handle on them is held,
// and waits until they have ended.
func endAll(pids []int, ours func(pid int) bool) (k killed) {
	var held []*Process
	for _, pid := range pids {
		p, err := Open(pid)
		if err != nil {
			if !errors.Is(err, unix.ESRCH) {
				k.err = errors.Join(k.err, err)
			}
			continue
		}
		defer p.Close()
		if ours(pid) {
			k.err = errors.Join(k.err, p.Kill())
			held = append(held, p)
		}
	}
	for _, p := range held {
		k.err = errors.Join(k.err, p.End())
	}
	k.n = len(held)
	return k
}
