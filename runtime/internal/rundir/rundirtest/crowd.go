package rundirtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// patient is how long starts that should overlap may take to meet.
const patient = time.Minute

// Crowd checks that n instances of img can be started, width at a time, live
// side by side, answer, and leave nothing when they are closed, width at a time
// again.
func Crowd(t *testing.T, host *Host, img runtime.Image, w workload.Workload, n, width int) {
	t.Helper()
	overlap(t, img, width)
	before := mountsBelow(t, host.Tmp)
	instances, err := crowd(t.Context(), img, w, n, width)
	scopes := make([]runtime.Scope, n)
	for k, inst := range instances {
		if inst == nil {
			continue
		}
		scopes[k] = inst.Scope()
		host.Add(scopes[k])
		if answer, cerr := inst.Call(t.Context(), w.Request()); cerr != nil || w.Check(answer) != nil {
			t.Errorf("instance %d of %d: Call = %q, %v", k, n, answer, cerr)
		}
	}
	if err := errors.Join(err, disperse(instances, width)); err != nil {
		t.Error(err)
	}
	for _, s := range scopes {
		for _, pid := range s.Own {
			if lives(pid) {
				t.Errorf("process %d outlived its instance", pid)
			}
		}
		for _, left := range cgroupsAt(t, s.Cgroup) {
			t.Errorf("left behind: %s", left)
		}
	}
	if after := mountsBelow(t, host.Tmp); after != before {
		t.Errorf("there were %d mounts before and are %d after", before, after)
	}
}

// mountsBelow counts the mounts below a directory.
func mountsBelow(t *testing.T, dir string) int {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(mounts)
}

// cgroupsAt returns the directories that a cgroup has in all hierarchies.
func cgroupsAt(t *testing.T, path string) (dirs []string) {
	t.Helper()
	if path == "" {
		return nil
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		dir := filepath.Join(m.Mountpoint, path)
		if _, err := os.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Crowds reports what starting b.N instances of img, several at a time, and
// closing them takes, in ns for each, and how many files the harness keeps open
// for each.
func Crowds(b *testing.B, img runtime.Image, w workload.Workload) {
	for _, width := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("parallel=%d", width), func(b *testing.B) {
			before := openFiles(b)
			instances, err := crowd(b.Context(), img, w, b.N, width)
			started := b.Elapsed()
			files := openFiles(b) - before
			err = errors.Join(err, disperse(instances, width))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(started)/float64(b.N), "start-ns")
			b.ReportMetric(float64(b.Elapsed()-started)/float64(b.N), "close-ns")
			b.ReportMetric(float64(files)/float64(b.N), "files")
		})
	}
}

// crowd starts n instances, width at a time, and returns those that answer.
func crowd(ctx context.Context, img runtime.Image, w workload.Workload, n, width int) ([]runtime.Instance, error) {
	instances := make([]runtime.Instance, n)
	return instances, each(n, width, func(k int) (err error) {
		instances[k], _, err = runtime.FirstAnswer(ctx, img, w.Request(), w.Check)
		return err
	})
}

// disperse closes instances, width at a time.
func disperse(instances []runtime.Instance, width int) error {
	return each(len(instances), width, func(k int) error {
		if instances[k] == nil {
			return nil
		}
		return instances[k].Close()
	})
}

// overlap checks that width starts of img can be under way at a time: at their
// first mark they wait for each other.
func overlap(t *testing.T, img runtime.Image, width int) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patient, errors.New("not all starts have come to their first mark"))
	defer cancel()
	var marked atomic.Int64
	met := make(chan struct{})
	err := each(width, width, func(int) error {
		first := sync.OnceFunc(func() {
			if marked.Add(1) == int64(width) {
				close(met)
			}
			select {
			case <-met:
			case <-ctx.Done():
			}
		})
		inst, err := img.Start(ctx, func(runtime.Phase, time.Time) { first() })
		if err == nil {
			err = errors.Join(context.Cause(ctx), inst.Close())
		}
		return err
	})
	if err != nil {
		t.Errorf("%d starts at a time: %v", width, err)
	}
}

// each calls do for the numbers below n, width of them at a time, and returns
// the errors of all.
func each(n, width int, do func(k int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var all sync.WaitGroup
	for range width {
		all.Go(func() {
			for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
				errs[k] = do(k)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// openFiles returns how many files this process has open.
func openFiles(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
