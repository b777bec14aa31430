package rundirtest

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// tries is how often two clocks are compared that something else may disturb.
const tries = 5

// Consists checks what instances of img, Files, say that they consist of: every
// process once, among them the guest's, alone in its cgroup, and the shim where
// the runtime has one. The cgroup's processor time is that of the guest.
func Consists(t *testing.T, host *Host, img runtime.Image, shim bool) {
	inst := start(t, host, img)
	defer closeAll(t, inst)
	s := inst.Scope()
	all := slices.Concat(s.Own, s.Shared)
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("Scope = %+v has a process twice", s)
	}
	if (s.Shim != 0) != shim || shim && !slices.Contains(all, s.Shim) {
		t.Errorf("Scope = %+v, want a shim among its processes: %v", s, shim)
	}
	guest := slices.DeleteFunc(slices.Clone(s.Own), func(pid int) bool { return pid == s.Shim })
	if len(guest) != 1 {
		t.Fatalf("Scope = %+v, want one process of the guest's", s)
	}
	for _, dir := range cgroupsAt(t, s.Cgroup) {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			t.Error(err)
		}
		// A hierarchy that the manager does not use is empty.
		if got := strings.Fields(string(b)); len(got) > 0 && !slices.Equal(got, []string{strconv.Itoa(guest[0])}) {
			t.Errorf("%s has the processes %q, want %d alone", dir, got, guest[0])
		}
	}

	var off float64
	for range tries {
		before := readClocks(t, s, guest[0])
		call(t, inst, "burn 2", "2")
		after := readClocks(t, s, guest[0])
		group, own := after.cgroup-before.cgroup, after.guest-before.guest
		off = math.Abs(float64(group)/float64(own) - 1)
		t.Logf("%v by the cgroup, %v by the guest's clock: %.2f %% apart", group, own, 100*off)
		if off <= 0.02 {
			return
		}
	}
	t.Errorf("the cgroup's clock is %.1f %% off that of the guest", 100*off)
}

type clocks struct{ cgroup, guest time.Duration }

func readClocks(t *testing.T, s runtime.Scope, guest int) clocks {
	t.Helper()
	var own unix.Timespec
	if err := unix.ClockGettime(int32(^guest)<<3|2, &own); err != nil { // as clock_getcpuclockid(3) makes it
		t.Fatal(err)
	}
	return clocks{cgroupTime(t, s.Cgroup), time.Duration(own.Nano())}
}

// cgroupTime returns the processor time of a cgroup, by the accounting of either
// version that knows of the most: one that the manager does not use knows of
// none.
func cgroupTime(t *testing.T, cgroup string) (most time.Duration) {
	t.Helper()
	for _, dir := range cgroupsAt(t, cgroup) {
		for file, format := range map[string]string{"cpuacct.usage": "%d", "cpu.stat": "usage_usec %d"} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			var used time.Duration
			if _, err := fmt.Sscanf(string(b), format, &used); err != nil {
				continue // a cpu.stat of version 1, which tells no time
			}
			if file == "cpu.stat" {
				used *= time.Microsecond
			}
			most = max(most, used)
		}
	}
	if most == 0 {
		t.Fatalf("no hierarchy counts the processor time of %s", cgroup)
	}
	return most
}
