package measure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/prometheus/procfs"
)

// cgroupGauges returns one for each limit of memory or of tasks that a cgroup
// has that this process is in, itself or by way of the cgroups below it.
func cgroupGauges(proc procfs.FS, l Limits) ([]*gauge, error) {
	dirs, err := ownCgroups(proc)
	if err != nil {
		return nil, fmt.Errorf("reading the cgroups of this process: %w", err)
	}
	var gauges []*gauge
	for _, dir := range dirs {
		of, err := gaugesOf(dir, l)
		if err != nil {
			return nil, fmt.Errorf("reading the limits of this process's cgroup: %w", err)
		}
		gauges = append(gauges, of...)
	}
	return gauges, nil
}

// gaugesOf returns those of the limits of one cgroup.
func gaugesOf(dir string, l Limits) (gauges []*gauge, err error) {
	for _, find := range []func(Limits, string) (*gauge, error){memoryCgroupV1, memoryCgroupV2, tasksCgroup} {
		g, err := find(l, dir)
		if err != nil {
			return nil, err
		}
		if g != nil {
			g.where = "cgroup " + dir
			gauges = append(gauges, g)
		}
	}
	return gauges, nil
}

// ownCgroups returns the directory of the cgroup of this process in each
// hierarchy and those above it, as far as they are mounted.
func ownCgroups(proc procfs.FS) ([]string, error) {
	self, err := proc.Self()
	if err != nil {
		return nil, err
	}
	groups, err := self.Cgroups()
	if err != nil {
		return nil, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range mounts {
		i := slices.IndexFunc(groups, func(g procfs.Cgroup) bool { return holds(m, g) })
		if i < 0 {
			continue
		}
		// In a container's mount namespace the mount shows the hierarchy from the
		// container's cgroup on.
		below, err := filepath.Rel(m.Root, groups[i].Path)
		if err != nil || !filepath.IsLocal(below) {
			below = "."
		}
		for dir := filepath.Join(m.Mountpoint, below); ; dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
			if dir == m.Mountpoint {
				break
			}
		}
	}
	return dirs, nil
}

// holds tells whether a cgroup is of the hierarchy that is mounted.
func holds(m *mountinfo.Info, g procfs.Cgroup) bool {
	if m.FSType == "cgroup2" {
		return g.HierarchyID == 0
	}
	options := strings.Split(m.VFSOptions, ",")
	return slices.ContainsFunc(g.Controllers, func(c string) bool { return slices.Contains(options, c) })
}

// memoryCgroupV1 returns nil where the cgroup has no limit of memory: version 1
// says that with a limit as large as it can tell.
func memoryCgroupV1(l Limits, dir string) (*gauge, error) {
	const none = 1 << 62
	limit, ok, err := limitIn(filepath.Join(dir, "memory.limit_in_bytes"))
	if !ok || limit >= none {
		return nil, err
	}
	return memoryCgroup(l, dir, limit, "memory.usage_in_bytes", "total_inactive_file"), nil
}

func memoryCgroupV2(l Limits, dir string) (*gauge, error) {
	limit, ok, err := limitIn(filepath.Join(dir, "memory.max"))
	if !ok {
		return nil, err
	}
	return memoryCgroup(l, dir, limit, "memory.current", "inactive_file"), nil
}

// memoryCgroup returns the gauge of what is left of a cgroup's limit. Files that
// nobody has used of late are given back in need and count as left.
func memoryCgroup(l Limits, dir string, limit int64, usage, reclaimable string) *gauge {
	return &gauge{limit: freeMemory, floor: true, most: floor(l, limit), fix: freeMemoryFix + " to the cgroup", read: func() (int64, error) {
		used, err := numberIn(filepath.Join(dir, usage))
		if err != nil {
			return 0, err
		}
		back, err := readStat(filepath.Join(dir, "memory.stat"), reclaimable)
		return limit - used + back, err
	}}
}

func tasksCgroup(_ Limits, dir string) (*gauge, error) {
	limit, ok, err := limitIn(filepath.Join(dir, "pids.max"))
	if !ok {
		return nil, err
	}
	return &gauge{limit: tasks, most: limit - spare(limit, 512), fix: fmt.Sprintf("raise its pids.max, which is %d", limit), read: func() (int64, error) {
		return numberIn(filepath.Join(dir, "pids.current"))
	}}, nil
}

// readStat returns a number of a file that has a name and a number in each line.
func readStat(path, name string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if n, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(name+" ")); ok {
			return strconv.ParseInt(string(n), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// limitIn returns the limit in a file of a cgroup. It is not ok where the file
// is not there, for the cgroup does not have the controller, or says that there
// is no limit.
func limitIn(path string) (n int64, ok bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || string(bytes.TrimSpace(b)) == "max" {
		return 0, false, nil
	}
	n, err = numberIn(path)
	return n, err == nil, err
}

func numberIn(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}
