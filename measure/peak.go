package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// PeakMemory returns the most bytes that each own process of a scope had resident at
// once since it began, or since ResetPeakMemory, added up. Where there are several that
// is an upper bound, for they need not have had them at the same time. Pages that they
// share count in each, as in Footprint.RSS; what is swapped out, or of the hugetlb
// pool, in none. The kernel counts for each processor apart and may be some hundred KiB
// behind.
//
// Errors are those of Memory, but that every process of this user may be read.
func PeakMemory(ctx context.Context, s runtime.Scope) (int64, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, fmt.Errorf("reading the peak memory of processes: %w", err)
	}
	var sum int64
	err = eachOwn(ctx, s, func(pid int) error {
		peak, err := peakOf(proc, pid)
		if err != nil {
			return fmt.Errorf("reading the peak memory of process %d: %w", pid, refused(err))
		}
		sum += peak
		return nil
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

func peakOf(proc procfs.FS, pid int) (int64, error) {
	p, err := proc.Proc(pid)
	if err != nil {
		return 0, err
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, err
	}
	if status.VmHWM == 0 { // what has ended has no memory to tell of
		return 0, unix.ESRCH
	}
	return int64(status.VmHWM), nil
}

// ResetPeakMemory makes the peak of each own process of a scope what it has resident
// now. It clears nothing else that the kernel knows of them.
//
// Errors are those of PeakMemory, but that a process that has ended and that its parent
// has not waited for is none.
func ResetPeakMemory(ctx context.Context, s runtime.Scope) error {
	return eachOwn(ctx, s, func(pid int) error {
		path := fmt.Sprintf("/proc/%d/clear_refs", pid)
		err := os.WriteFile(path, []byte("5"), 0) // of what can be cleared, the peak
		if err == nil {
			return nil
		}
		_, none := os.Stat("/proc/self/clear_refs")
		switch {
		case none != nil:
			return &runtime.Unavailable{What: "peak memory", Why: "the kernel resets none", Fix: "run a Linux whose CONFIG_PROC_PAGE_MONITOR is set", Err: none}
		case errors.Is(err, fs.ErrPermission):
			return &runtime.Unavailable{What: "peak memory", Why: path + " may not be written", Fix: "run as the user of the process, or as root", Err: err}
		}
		return fmt.Errorf("resetting the peak memory of process %d: %w", pid, err)
	})
}

// eachOwn calls f with each own process, once, until one fails or ctx ends.
func eachOwn(ctx context.Context, s runtime.Scope, f func(pid int) error) error {
	seen := make(map[int]bool, len(s.Own))
	for _, pid := range s.Own {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if seen[pid] {
			continue
		}
		seen[pid] = true
		if err := f(pid); err != nil {
			return err
		}
	}
	return nil
}
