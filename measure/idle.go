package measure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// An IdleShare is processor time that processes spent with nothing to do.
type IdleShare struct {
	Processes int
	CPU       time.Duration
}

// An IdleSample is what live instances cost a host while nobody asks them
// anything.
type IdleSample struct {
	Instances int
	Window    time.Duration // between the two readings of each process
	Guest     IdleShare     // of the instances' own processes, without shims
	Shim      IdleShare     // of the shims, own and shared
	Daemon    IdleShare     // of the other processes that instances share
	Harness   time.Duration // processor time of this process meanwhile, which is in none of them
}

// Idle reads the processor time that the instances with these scopes take during a
// window in which it waits. It is for the caller to see that nobody asks them
// anything. A process that several scopes name counts once: as a shim if it is the
// shim of one, else as a guest if it is one's own.
//
// It is an error, and names the process, if one has ended before the window has, or
// is the harness itself, which cannot be idle; and if a scope has no process of its
// own, a window no length, or there are no scopes.
func Idle(ctx context.Context, scopes []runtime.Scope, window time.Duration) (IdleSample, error) {
	if window <= 0 {
		return IdleSample{}, fmt.Errorf("what idle instances take: a window of %v has no length", window)
	}
	roles, err := rolesOf(scopes)
	if err != nil {
		return IdleSample{}, fmt.Errorf("what idle instances take: %w", err)
	}
	s, err := idle(ctx, roles, window)
	if err != nil {
		return IdleSample{}, fmt.Errorf("what %d idle instances take: %w", len(scopes), err)
	}
	s.Instances = len(scopes)
	return s, nil
}

// A role is what a process is to the instances.
type role uint8

const (
	daemonRole role = iota
	guestRole
	shimRole
)

func rolesOf(scopes []runtime.Scope) (map[int]role, error) {
	if len(scopes) == 0 {
		return nil, errors.New("there are none")
	}
	roles := map[int]role{}
	is := func(pid int, r role) { roles[pid] = max(roles[pid], r) }
	for i, s := range scopes {
		if len(s.Own) == 0 {
			return nil, fmt.Errorf("instance %d of %d names no process of its own: it has ended, or its Scope is not complete", i+1, len(scopes))
		}
		for _, pid := range s.Own {
			is(pid, guestRole)
		}
		for _, pid := range s.Shared {
			is(pid, daemonRole)
		}
		if s.Shim != 0 {
			is(s.Shim, shimRole)
		}
	}
	if _, harness := roles[os.Getpid()]; harness {
		return nil, fmt.Errorf("process %d is the harness itself", os.Getpid())
	}
	return roles, nil
}

func idle(ctx context.Context, roles map[int]role, window time.Duration) (s IdleSample, err error) {
	pids := slices.Sorted(maps.Keys(roles))
	began := make([]uint64, len(pids))
	for i, pid := range pids {
		if began[i], err = beginOf(pid); err != nil {
			return s, err
		}
	}
	defer quiet()()
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	harness := append(slices.Clip(pids), os.Getpid())
	begin := time.Now()
	before, err := cpuTimes(harness)
	if err != nil {
		return s, err
	}
	wait := time.NewTimer(window - time.Since(begin))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return s, context.Cause(ctx)
	case <-wait.C:
	}
	s.Window = time.Since(begin)
	after, err := cpuTimes(harness)
	if err != nil {
		return s, err
	}
	for i, pid := range pids {
		// One that has ended keeps its clock until it has been waited for, and
		// its number may have gone to another.
		if at, err := beginOf(pid); err != nil {
			return s, err
		} else if at != began[i] {
			return s, fmt.Errorf("process %d has ended and another has its number", pid)
		}
		share := [...]*IdleShare{daemonRole: &s.Daemon, guestRole: &s.Guest, shimRole: &s.Shim}[roles[pid]]
		share.Processes++
		share.CPU += after[i] - before[i]
	}
	s.Harness = after[len(pids)] - before[len(pids)]
	return s, nil
}

func cpuTimes(pids []int) (all []time.Duration, err error) {
	all = make([]time.Duration, len(pids))
	for i, pid := range pids {
		if all[i], err = cpuTime(pid, schedulerClock); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// beginOf returns when a process began, in the kernel's measure. One that has ended
// is an error, also before it has been waited for.
func beginOf(pid int) (uint64, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("process %d has ended: %w", pid, err)
	}
	stat, err := p.Stat()
	if err != nil {
		return 0, fmt.Errorf("process %d has ended: %w", pid, err)
	}
	if stat.State == "Z" || stat.State == "X" {
		return 0, fmt.Errorf("process %d has ended: %w", pid, os.ErrProcessDone)
	}
	return stat.Starttime, nil
}

// Metrics returns cpu-%, the share of one processor that all processes together
// kept busy, and its parts: guest-cpu-%, shim-cpu-% where there is a shim and
// daemon-cpu-% where processes are shared; and inst, how many instances it was.
func (s IdleSample) Metrics() []Metric {
	if s.Window <= 0 {
		return nil
	}
	share := func(cpu time.Duration) float64 { return 100 * float64(cpu) / float64(s.Window) }
	ms := []Metric{{share(s.Guest.CPU + s.Shim.CPU + s.Daemon.CPU), "cpu-%"}, {share(s.Guest.CPU), "guest-cpu-%"}}
	if s.Shim.Processes > 0 {
		ms = append(ms, Metric{share(s.Shim.CPU), "shim-cpu-%"})
	}
	if s.Daemon.Processes > 0 {
		ms = append(ms, Metric{share(s.Daemon.CPU), "daemon-cpu-%"})
	}
	return append(ms, Metric{float64(s.Instances), "inst"})
}
