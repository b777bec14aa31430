package rundirtest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Frozen reports whether the kernel says that every process of the scope's
// cgroup is frozen, by either version's freezer.
func Frozen(t testing.TB, s runtime.Scope) bool {
	t.Helper()
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		t.Fatal(err)
	}
	known := false
	for _, m := range mounts {
		for file, sign := range map[string]string{"freezer.state": "FROZEN", "cgroup.events": "frozen 1"} {
			b, err := os.ReadFile(filepath.Join(m.Mountpoint, s.Cgroup, file))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			known = true
			if strings.Contains(string(b), sign) {
				return true
			}
		}
	}
	if !known {
		t.Fatalf("no freezer knows the cgroup %s", s.Cgroup)
	}
	return false
}
