package measure

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"github.com/prometheus/procfs"
)

// A hierarchy is the one of the host's hierarchies of cgroups that has a
// controller.
type hierarchy struct {
	controller string
	version    int    // of cgroups, 1 or 2
	mount      string // where it is mounted
	root       string // which of its cgroups is there: "/", but in a container's mount namespace the container's
}

// cgroupMounts returns where hierarchies were mounted when it was first called.
var cgroupMounts = sync.OnceValues(func() ([]*mountinfo.Info, error) {
	return mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
})

// hierarchyOf finds the hierarchy of a controller. One alone can have it, also
// where both versions are mounted; of several mounts of that one, such as those
// for containers, it is the one that shows most.
func hierarchyOf(controller string, mounts []*mountinfo.Info) (best hierarchy, ok bool) {
	for _, m := range mounts {
		h := hierarchy{controller: controller, mount: filepath.Clean(m.Mountpoint), root: path.Clean("/" + m.Root)}
		has := false
		switch m.FSType {
		case "cgroup":
			h.version = 1
			has = slices.Contains(strings.Split(m.VFSOptions, ","), controller)
		case "cgroup2":
			h.version = 2
			b, err := os.ReadFile(filepath.Join(m.Mountpoint, "cgroup.controllers"))
			has = err == nil && slices.Contains(strings.Fields(string(b)), controller)
		}
		if has && (!ok || len(h.root) < len(best.root)) {
			best, ok = h, true
		}
	}
	return best, ok
}

// dir returns the directory of a cgroup. Its path may be below the mount or, as
// the kernel tells it of a process, below the hierarchy's root.
func (h hierarchy) dir(cgroup string) string {
	cgroup = path.Clean("/" + cgroup)
	if below, err := filepath.Rel(h.root, cgroup); err == nil && filepath.IsLocal(below) {
		cgroup = below
	}
	return filepath.Join(h.mount, cgroup)
}

// upwards returns the directory of a cgroup and of those above it, as far as they
// are mounted.
func (h hierarchy) upwards(cgroup string) []string {
	dirs := []string{h.dir(cgroup)}
	for dir := dirs[0]; dir != h.mount; {
		dir = filepath.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// holds tells whether a process's cgroup is of this hierarchy.
func (h hierarchy) holds(g procfs.Cgroup) bool {
	return h.version == 2 && g.HierarchyID == 0 || slices.Contains(g.Controllers, h.controller)
}

// memoryFiles are what the memory controller tells what in, by version.
var memoryFiles = map[int]struct {
	usage, peak string
	limits      []string
	reclaimable string // in memory.stat: files that nobody has used of late, which are given back in need
}{
	1: {"memory.usage_in_bytes", "memory.max_usage_in_bytes", []string{"memory.limit_in_bytes"}, "total_inactive_file"},
	2: {"memory.current", "memory.peak", []string{"memory.max", "memory.high"}, "inactive_file"},
}

// cgroupNumber reads a file of a cgroup that has one number.
func cgroupNumber(dir, file string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Join(dir, file), err)
	}
	return n, nil
}

// cgroupNumbers reads a file of a cgroup that has a name and a number in each
// line.
func cgroupNumbers(dir, file string) (map[string]int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, file), err)
		}
		numbers[name] = n
	}
	return numbers, nil
}
