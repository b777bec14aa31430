package rundir

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
)

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
	var held []*pidfd.Process
	for _, pid := range pids {
		p, err := pidfd.Open(pid)
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
