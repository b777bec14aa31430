package spin

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
)

// members returns the processes of a group that have not ended, in order.
func members(pgid int) ([]int, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, proc := range all {
		if lives(proc, pgid) {
			pids = append(pids, proc.PID)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// lives reports whether a process is of the group and runs.
func lives(proc procfs.Proc, pgid int) bool {
	stat, err := proc.Stat()
	return err == nil && stat.PGRP == pgid && stat.State != "Z" && stat.State != "X"
}

// endGroup kills what is left of a group whose number cannot be used again
// meanwhile, and waits until it has ended.
func endGroup(pgid int) error {
	for range 100 {
		left, err := members(pgid)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := unix.Kill(-pgid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return fmt.Errorf("killing process group %d: %w", pgid, err)
		}
		for _, pid := range left {
			if err := endMember(pid, pgid); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("process group %d keeps starting processes", pgid)
}

func endMember(pid, pgid int) error {
	p, err := pidfd.Open(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	// The handle is on whoever has the number now.
	if proc, err := procfs.NewProc(pid); err != nil || !lives(proc, pgid) {
		return nil
	}
	return p.End()
}
