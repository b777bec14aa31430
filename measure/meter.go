package measure

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Meter reads what the processes of a scope have used. A process that has
// ended meanwhile is an error that names it.
type Meter interface {
	Read(context.Context, runtime.Scope) (Usage, error)
}

// Usage is a reading of a meter. What a meter does not read is 0.
type Usage struct {
	CPU    time.Duration // user and system time of the own processes since they began
	Own    Footprint     // of the own processes
	Shared Footprint     // of the shared processes that are not own ones too
	Cgroup CgroupUsage   // of the scope's cgroup, 0 where it has none
}

// CPU reads processor time from each own process's CPU clock, to the
// nanosecond and with the threads that have ended.
var CPU Meter = cpuMeter{}

type cpuMeter struct{}

func (cpuMeter) Read(ctx context.Context, s runtime.Scope) (u Usage, err error) {
	if ctx.Err() != nil {
		return u, context.Cause(ctx)
	}
	for _, pid := range s.Own {
		var t unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &t); err != nil {
			return u, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
		}
		u.CPU += time.Duration(t.Nano())
	}
	return u, nil
}

// cpuClock returns the clock of a process's CPU time, as clock_getcpuclockid(3)
// does: the process's number inverted, above the three bits of the clock's kind,
// of which 2 is the scheduler's.
func cpuClock(pid int) int32 { return int32(^pid)<<3 | 2 }
