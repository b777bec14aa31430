package measure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/prometheus/procfs"
)

// ownCgroupGauges returns those of the cgroups that this process is in.
func ownCgroupGauges(proc procfs.FS, l Limits) ([]*gauge, error) {
	self, err := proc.Self()
	if err != nil {
		return nil, err
	}
	groups, err := self.Cgroups()
	if err != nil {
		return nil, fmt.Errorf("reading the cgroups of this process: %w", err)
	}
	mounts, err := cgroupMounts()
	if err != nil {
		return nil, fmt.Errorf("looking for the cgroups of this process: %w", err)
	}
	return cgroupGauges(l, mounts, func(h hierarchy) (string, bool) {
		i := slices.IndexFunc(groups, h.holds)
		if i < 0 {
			return "", false
		}
		return groups[i].Path, true
	})
}

// cgroupGauges returns one for each limit of memory or of tasks that a cgroup has,
// itself or by way of those above it. path tells which cgroup that is in each
// hierarchy.
func cgroupGauges(l Limits, mounts []*mountinfo.Info, path func(hierarchy) (string, bool)) (gauges []*gauge, err error) {
	for _, c := range []struct {
		name string
		find func(hierarchy, string, Limits) (*gauge, error)
	}{{"memory", memoryGaugeOf}, {"pids", taskGaugeOf}} {
		h, ok := hierarchyOf(c.name, mounts)
		if !ok {
			continue
		}
		cgroup, ok := path(h)
		if !ok {
			continue
		}
		for _, dir := range h.upwards(cgroup) {
			g, err := c.find(h, dir, l)
			if err != nil {
				return nil, fmt.Errorf("reading the limits of cgroup %s: %w", dir, err)
			}
			if g != nil {
				g.where = "cgroup " + dir
				gauges = append(gauges, g)
			}
		}
	}
	return gauges, nil
}

// memoryGaugeOf returns the gauge of what is left of a cgroup's limit, nil where it
// has none. Above memory.high the kernel slows processes down until they have
// given enough back, so that it is a limit as memory.max is.
func memoryGaugeOf(h hierarchy, dir string, l Limits) (*gauge, error) {
	files := memoryFiles[h.version]
	limit, file := int64(noLimit), ""
	for _, f := range files.limits {
		n, err := cgroupLimit(dir, f)
		if err != nil {
			return nil, err
		}
		if n < limit {
			limit, file = n, f
		}
	}
	if limit == noLimit {
		return nil, nil
	}
	fix := fmt.Sprintf("%s to the cgroup, whose %s is %s", freeMemoryFix, file, inBinary(limit))
	return &gauge{limit: LimitFreeMemory, floor: true, most: floor(l, limit), fix: fix, read: func() (int64, error) {
		used, err := cgroupNumber(dir, files.usage)
		if err != nil {
			return 0, err
		}
		stat, err := cgroupNumbers(dir, "memory.stat")
		if err != nil {
			return 0, err
		}
		back, ok := stat[files.reclaimable]
		if !ok {
			return 0, fmt.Errorf("%s has no %s", filepath.Join(dir, "memory.stat"), files.reclaimable)
		}
		return limit - used + back, nil
	}}, nil
}

func taskGaugeOf(_ hierarchy, dir string, _ Limits) (*gauge, error) {
	limit, err := cgroupLimit(dir, "pids.max")
	if err != nil || limit == noLimit {
		return nil, err
	}
	return &gauge{limit: LimitTasks, most: limit - spare(limit, 512), fix: fmt.Sprintf("raise its pids.max, which is %d", limit), read: func() (int64, error) {
		return cgroupNumber(dir, "pids.current")
	}}, nil
}

// noLimit is more than any limit. Version 1 says that there is none with one
// that is as large as it can tell.
const noLimit = 1 << 62

// cgroupLimit returns the limit in a file of a cgroup, noLimit where it says that
// there is none or is not there, for the cgroup does not have the controller.
func cgroupLimit(dir, file string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(b)) == "max" {
		return noLimit, nil
	}
	n, err := cgroupNumber(dir, file)
	return min(n, noLimit), err
}
