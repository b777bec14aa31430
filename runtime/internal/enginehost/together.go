package enginehost

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// together calls the instances of q at the same time and takes the time from
// before the first call until the last has answered.
func (h *holder) together(ctx context.Context, q *Query) (reply Reply, err error) {
	if len(q.IDs) != len(q.Bodies) || len(q.IDs) == 0 {
		return reply, fmt.Errorf("%d instances and %d requests", len(q.IDs), len(q.Bodies))
	}
	team := make([]runtime.Instance, len(q.IDs))
	place := map[int]int{}
	for i, id := range q.IDs {
		inst, ok := h.instances[id]
		if !ok {
			return reply, fmt.Errorf("instance %d of %d: there is no instance %d", i+1, len(team), id)
		}
		if first, twice := place[id]; twice {
			return reply, fmt.Errorf("instance %d of %d is also the one in place %d", i+1, len(team), first+1)
		}
		team[i], place[id] = inst, i
	}
	// A guest keeps its processor of the Go runtime until it returns. One more
	// is left for the host, which may have to end the guests. What is timed
	// afterwards finds as many as before.
	if wanted, usual := len(team)+1, goruntime.GOMAXPROCS(0); usual < wanted {
		goruntime.GOMAXPROCS(wanted)
		defer goruntime.GOMAXPROCS(usual)
	}
	answers := make([][]byte, len(team))
	took, err := atOnce(len(team), func(i int) (err error) {
		answers[i], err = team[i].Call(ctx, q.Bodies[i])
		return err
	})
	if err != nil {
		return reply, err
	}
	reply.Answers, reply.Times = answers, []time.Duration{took}
	return reply, nil
}

// atOnce calls f with 0 to n-1, each on a thread that was there before the clock
// began, and returns when the last has returned, after took. The error is the
// first by number.
func atOnce(n int, f func(int) error) (took time.Duration, err error) {
	var (
		ready atomic.Int64
		off   atomic.Bool
		begun time.Time
		done  sync.WaitGroup
	)
	ends, errs := make([]time.Duration, n), make([]error, n)
	run := func(i int) {
		errs[i] = f(i)
		ends[i] = time.Since(begun)
	}
	for i := 1; i < n; i++ {
		done.Go(func() {
			goruntime.LockOSThread()
			defer goruntime.UnlockOSThread()
			ready.Add(1)
			until(off.Load)
			run(i)
		})
	}
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	until(func() bool { return ready.Load() == int64(n-1) })
	begun = time.Now()
	off.Store(true)
	run(0)
	done.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		err = fmt.Errorf("instance %d of %d: %w", i+1, n, errs[i])
	}
	return slices.Max(ends), err
}

// until waits for what another thread is about to do, without sleeping: to be
// woken takes longer than a short call. It lets others have the processor.
func until(done func() bool) {
	for !done() {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
}
