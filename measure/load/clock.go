package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// Times go from one process to another as nanoseconds of CLOCK_MONOTONIC, which is
// one for all that run on a machine and by which package time measures too.

func toClock(t time.Time) (ns int64) { return clock() - int64(time.Since(t)) }

func fromClock(ns int64) time.Time { return time.Now().Add(time.Duration(ns - clock())) }

func clock() (ns int64) {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // no Linux lacks it
	}
	return t.Nano()
}
