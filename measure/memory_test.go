package measure_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// roseBy fails the test unless a figure rose by what it should have, within 5 % of 64 MiB.
func roseBy(t *testing.T, what string, before, after, want int64) {
	t.Helper()
	if got := after - before; math.Abs(float64(got-want)) > 0.05*float64(64*mib) {
		t.Errorf("%s rose by %d bytes, want %d", what, got, want)
	}
}

func footprintRoseBy(t *testing.T, what string, before, after, want measure.Footprint) {
	t.Helper()
	roseBy(t, what+" PSS", before.PSS, after.PSS, want.PSS)
	roseBy(t, what+" RSS", before.RSS, after.RSS, want.RSS)
	roseBy(t, what+" shared", before.Shared, after.Shared, want.Shared)
	roseBy(t, what+" private", before.Private, after.Private, want.Private)
	if after.VMS-before.VMS < want.VMS {
		t.Errorf("%s VMS rose by %d bytes, want at least %d", what, after.VMS-before.VMS, want.VMS)
	}
	if sum := after.Shared + after.Private; sum != after.RSS {
		t.Errorf("%s shared and private are %d bytes, RSS is %d", what, sum, after.RSS)
	}
	if after.PSS < after.Private || after.PSS > after.RSS {
		t.Errorf("%s PSS %d is not between private %d and RSS %d", what, after.PSS, after.Private, after.RSS)
	}
}

func TestMemoryOfAllocation(t *testing.T) {
	c := newChild(t)
	before := c.usage(t, measure.Memory)
	c.tell(t, "allocate", 64*mib)
	after := c.usage(t, measure.Memory)
	footprintRoseBy(t, "own", before.Own, after.Own, measure.Footprint{PSS: 64 * mib, RSS: 64 * mib, VMS: 64 * mib, Private: 64 * mib})
	c.tell(t, "free", 1)
	footprintRoseBy(t, "own after freeing", before.Own, c.usage(t, measure.Memory).Own, measure.Footprint{})
	if after.Shared != (measure.Footprint{}) || after.Cgroup != (measure.CgroupUsage{}) || after.CPU != 0 {
		t.Errorf("%+v has more than the own processes' memory", after)
	}
}

// Pages of the hugetlb pool count, though the kernel has them in an account apart.
func TestMemoryOfHugePages(t *testing.T) {
	c := newChild(t)
	before := c.usage(t, measure.Memory)
	if answer := c.tell(t, "allocate-huge", 64*mib); answer != "done" {
		t.Skip(&runtime.Unavailable{What: "the hugetlb pool", Why: answer, Fix: "write 32 to /proc/sys/vm/nr_hugepages"})
	}
	after := c.usage(t, measure.Memory)
	footprintRoseBy(t, "own", before.Own, after.Own, measure.Footprint{PSS: 64 * mib, RSS: 64 * mib, VMS: 64 * mib, Private: 64 * mib})
}

// What two processes map is private while one has touched it; then it counts
// once in their PSS and twice in their RSS.
func TestMemoryOfSharedPages(t *testing.T) {
	fd, err := unix.MemfdCreate("shared", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "shared")
	defer f.Close()
	if err := f.Truncate(64 * mib); err != nil {
		t.Fatal(err)
	}
	a, b := newChild(t, f), newChild(t, f)
	both := runtime.Scope{Own: []int{a.pid, b.pid}}
	before, beforeA, beforeB := readUsage(t, measure.Memory, both), a.usage(t, measure.Memory), b.usage(t, measure.Memory)

	a.tell(t, "share", 64*mib)
	footprintRoseBy(t, "one of them", beforeA.Own, a.usage(t, measure.Memory).Own, measure.Footprint{PSS: 64 * mib, RSS: 64 * mib, VMS: 64 * mib, Private: 64 * mib})
	b.tell(t, "share", 64*mib)
	footprintRoseBy(t, "both", before.Own, readUsage(t, measure.Memory, both).Own, measure.Footprint{PSS: 64 * mib, RSS: 128 * mib, VMS: 128 * mib, Shared: 128 * mib})

	apart := readUsage(t, measure.Memory, runtime.Scope{Own: both.Own[:1], Shared: both.Own[1:]})
	half := measure.Footprint{PSS: 32 * mib, RSS: 64 * mib, VMS: 64 * mib, Shared: 64 * mib}
	footprintRoseBy(t, "own", beforeA.Own, apart.Own, half)
	footprintRoseBy(t, "shared", beforeB.Own, apart.Shared, half)
}

func TestMemoryOfProcessNamedTwice(t *testing.T) {
	c, other := newChild(t), newChild(t)
	c.tell(t, "allocate", 64*mib)
	once, otherOnce := c.usage(t, measure.Memory), other.usage(t, measure.Memory)
	u := readUsage(t, measure.Memory, runtime.Scope{Own: []int{c.pid, c.pid}, Shared: []int{c.pid, other.pid, other.pid}})
	footprintRoseBy(t, "own", once.Own, u.Own, measure.Footprint{})
	footprintRoseBy(t, "shared", otherOnce.Own, u.Shared, measure.Footprint{})
	if max := once.Own.VMS * 3 / 2; u.Own.VMS > max {
		t.Errorf("own VMS is %d bytes, want less than %d", u.Own.VMS, max)
	}
}

// A process that has ended is named, before its parent has waited for it and after.
func TestMemoryOfEndedProcess(t *testing.T) {
	c := newChild(t)
	scopes := map[string]runtime.Scope{"own": {Own: []int{os.Getpid(), c.pid}}, "shared": {Own: []int{os.Getpid()}, Shared: []int{c.pid}}}
	check := func(want error) {
		t.Helper()
		for name, s := range scopes {
			u, err := measure.Memory.Read(t.Context(), s)
			if !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprint("process ", c.pid)) || u != (measure.Usage{}) {
				t.Errorf("%s: error %v, usage %+v; want %v and the process's number", name, err, u, want)
			}
		}
	}
	c.stdin.Close()
	if err := unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	check(unix.ESRCH)
	c.cmd.Wait()
	check(os.ErrNotExist)
}

func TestMemoryOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip(&runtime.Unavailable{What: "a process of another user", Why: "this user cannot start one", Fix: "run as root"})
	}
	answer := newChild(t).tell(t, "read-as-nobody", os.Getpid())
	if file := fmt.Sprintf("/proc/%d/smaps_rollup", os.Getpid()); !strings.HasPrefix(answer, "true ") || !strings.Contains(answer, fmt.Sprint("process ", os.Getpid())) || !strings.Contains(answer, file) {
		t.Errorf("reading a process of another user: %s", answer)
	}
}

// What is swapped out is not lost. Nothing can be swapped out on demand: a process
// is planted in a directory that looks like /proc.
func TestMemoryOfSwappedPages(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"smaps_rollup": "1000-2000 ---p 00000000 00:00 0 [rollup]\nRss: 100 kB\nPss: 60 kB\nShared_Clean: 80 kB\nShared_Dirty: 0 kB\nPrivate_Clean: 5 kB\nPrivate_Dirty: 15 kB\nSwap: 40 kB\nSwapPss: 30 kB\n",
		"status":       "Name:\tswapped\nPid:\t7\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nVmSize:\t     500 kB\nVmSwap:\t      40 kB\n",
	}
	if err := os.Mkdir(filepath.Join(dir, "7"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "7", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := measure.FootprintIn(dir, 7)
	if want := (measure.Footprint{PSS: 60 << 10, RSS: 100 << 10, VMS: 500 << 10, Shared: 80 << 10, Private: 20 << 10, Swap: 30 << 10}); err != nil || got != want {
		t.Errorf("%+v, error %v, want %+v", got, err, want)
	}
	if got.Total() != 90<<10 {
		t.Errorf("%d bytes in all, want 90 KiB", got.Total())
	}
}

func TestMetersStopWithContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for name, m := range map[string]measure.Meter{"CPU": measure.CPU, "Memory": measure.Memory, "CgroupMemory": measure.CgroupMemory} {
		if _, err := m.Read(ctx, runtime.Scope{Own: []int{os.Getpid()}, Cgroup: "/"}); !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := measure.ReadHostMemory(ctx); !errors.Is(err, cause) {
		t.Errorf("ReadHostMemory: %v", err)
	}
}
