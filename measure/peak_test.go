package measure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

func peakOf(t *testing.T, s runtime.Scope) int64 {
	t.Helper()
	peak, err := measure.PeakMemory(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return peak
}

func resetPeak(t *testing.T, s runtime.Scope) {
	t.Helper()
	if err := measure.ResetPeakMemory(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// What was allocated and freed is in the peak until it is reset, and no more then.
func TestPeakMemory(t *testing.T) {
	c, other := newChild(t), newChild(t)
	one, both := runtime.Scope{Own: []int{c.pid}}, runtime.Scope{Own: []int{c.pid, other.pid, c.pid}, Shared: []int{os.Getpid()}}
	resetPeak(t, both)
	before, beforeBoth := peakOf(t, one), peakOf(t, both)
	roseBy(t, "the peak of what did nothing", c.usage(t, measure.Memory).Own.RSS, before, 0)

	c.tell(t, "allocate", 64*mib)
	c.tell(t, "free", 1)
	c.tell(t, "allocate", 32*mib)
	roseBy(t, "the peak", before, peakOf(t, one), 64*mib)
	other.tell(t, "allocate", 64*mib)
	roseBy(t, "that of two", beforeBoth, peakOf(t, both), 128*mib)

	resetPeak(t, one)
	roseBy(t, "the peak after it was reset", before, peakOf(t, one), 32*mib)
	roseBy(t, "that of two, of which one was reset", beforeBoth, peakOf(t, both), 96*mib)
	c.tell(t, "allocate", 64*mib)
	roseBy(t, "the peak of more", before, peakOf(t, one), 96*mib)
}

func TestPeakMemoryOfEndedProcess(t *testing.T) {
	c := newChild(t)
	s := runtime.Scope{Own: []int{os.Getpid(), c.pid}}
	named := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprint("process ", c.pid)) {
			t.Errorf("%v, want %v and the process's number", err, want)
		}
	}
	c.stdin.Close()
	if err := unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	_, err := measure.PeakMemory(t.Context(), s)
	named(err, unix.ESRCH)
	c.cmd.Wait()
	_, err = measure.PeakMemory(t.Context(), s)
	named(err, os.ErrNotExist)
	named(measure.ResetPeakMemory(t.Context(), s), os.ErrNotExist)
}

func TestPeakMemoryStopsWithContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	s := runtime.Scope{Own: []int{os.Getpid()}}
	if _, err := measure.PeakMemory(ctx, s); !errors.Is(err, cause) {
		t.Errorf("PeakMemory: %v", err)
	}
	if err := measure.ResetPeakMemory(ctx, s); !errors.Is(err, cause) {
		t.Errorf("ResetPeakMemory: %v", err)
	}
}
