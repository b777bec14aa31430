package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// CPU reads processor time from each process's CPU clock, to the nanosecond and
// with the threads that have ended. What a thread that runs at the moment has spent
// since the last tick of the kernel's clock may be missing; one that waits, as
// that of a guest does that has answered, has its time in full. A process that is
// named twice counts once.
//
// User is less sure. Most kernels look at each tick of their clock, every 1 to 10
// ms, whether a processor is in user mode, and add a tick to that account; there
// is no finer one. User is CPU in the proportion of the two accounts, which are
// read at the length of a tick where /proc rounds to a hundredth of a second. The
// standard error of a share p by n ticks is √(p(1-p)/n), 5 points by a hundred; and
// a process that runs in step with the ticks may be seen in one mode only. A
// kernel that keeps account of every change of mode, with nohz_full, is exact. User
// is 0 until the first tick.
var CPU Meter = cpuMeter{}

type cpuMeter struct{}

func (cpuMeter) Read(ctx context.Context, s runtime.Scope) (u Usage, err error) {
	if ctx.Err() != nil {
		return u, context.Cause(ctx)
	}
	seen := make(map[int]bool, len(s.Own)+len(s.Shared)+1)
	for _, pid := range s.Own {
		if seen[pid] {
			continue
		}
		seen[pid] = true
		used, err := cpuTime(pid, schedulerClock)
		if err != nil {
			return Usage{}, err
		}
		ticked, err := cpuSplit(pid)
		if err != nil {
			return Usage{}, err
		}
		u.CPU += used
		u.ticked.user += ticked.user
		u.ticked.all += ticked.all
		if pid == s.Shim {
			u.ShimCPU = used
		}
	}
	u.User = u.ticked.of(u.CPU)
	for _, pid := range s.Shared {
		if seen[pid] {
			continue
		}
		seen[pid] = true
		used, err := cpuTime(pid, schedulerClock)
		if err != nil {
			return Usage{}, err
		}
		u.SharedCPU += used
		if pid == s.Shim {
			u.ShimCPU = used
		}
	}
	if s.Shim != 0 && !seen[s.Shim] {
		if u.ShimCPU, err = cpuTime(s.Shim, schedulerClock); err != nil {
			return Usage{}, err
		}
	}
	return u, nil
}

// The kinds of a process's CPU clocks, as the kernel numbers them.
const (
	profilingClock = 0 // user and system time by ticks
	virtualClock   = 1 // user time by ticks
	schedulerClock = 2 // what the scheduler has given it
)

// cpuTime reads a CPU clock of a process. Its number is that of the process
// inverted, above the three bits of the clock's kind, as clock_getcpuclockid(3)
// makes it; process 0 would be the one that asks.
func cpuTime(pid int, kind int32) (time.Duration, error) {
	if pid <= 0 {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w: it is in another PID namespace than this program", pid, unix.ESRCH)
	}
	var t unix.Timespec
	switch err := unix.ClockGettime(int32(^pid)<<3|kind, &t); {
	case errors.Is(err, unix.EINVAL): // it takes the number of a process that is not there for no clock's
		return 0, fmt.Errorf("reading the CPU clock of process %d: it has ended: %w", pid, unix.ESRCH)
	case err != nil:
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// A split is what the ticks of the kernel's clock have found of processes.
type split struct{ user, all time.Duration }

// cpuSplit reads the part first: read last, it could be more than the whole.
func cpuSplit(pid int) (s split, err error) {
	if s.user, err = cpuTime(pid, virtualClock); err == nil {
		s.all, err = cpuTime(pid, profilingClock)
	}
	return s, err
}

// of returns the user part of so much processor time.
func (s split) of(cpu time.Duration) time.Duration {
	if s.all <= 0 {
		return 0
	}
	return time.Duration(float64(cpu) * min(max(float64(s.user)/float64(s.all), 0), 1))
}

// ticks returns how many ticks it took to find the split.
func (s split) ticks() int { return int(s.all / tick()) }

// tick is the length of a tick of the kernel's clock.
var tick = sync.OnceValue(func() time.Duration {
	var t unix.Timespec
	// Without an answer, the longest of any kernel.
	if err := unix.ClockGetres(int32(^os.Getpid())<<3|profilingClock, &t); err != nil || t.Nano() <= 0 {
		return 10 * time.Millisecond
	}
	return time.Duration(t.Nano())
})
