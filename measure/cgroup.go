package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// CgroupUsage is what the kernel charges to a cgroup and to those below it, in
// bytes. A page of a file is charged to the cgroup that read it first, whoever
// else maps it; and charges are made in advance, up to a quarter of a megabyte for
// each processor.
type CgroupUsage struct {
	Usage  int64 // memory of processes, page cache and what the kernel keeps for them
	Peak   int64 // the most that Usage was; 0 where the kernel does not tell
	Kernel int64 // the part of Usage that the kernel keeps; 0 where it does not tell
}

// CgroupMemory reads what is charged to the scope's cgroup, by whichever version
// of cgroups has the memory controller; where none has it, Read returns an
// *runtime.Unavailable. A cgroup that has been removed is an error that names it
// and wraps os.ErrNotExist or unix.ENODEV.
var CgroupMemory Meter = cgroupMeter{}

type cgroupMeter struct{}

func (cgroupMeter) Read(ctx context.Context, s runtime.Scope) (u Usage, err error) {
	if ctx.Err() != nil {
		return u, context.Cause(ctx)
	}
	if s.Cgroup == "" {
		return u, nil
	}
	c, err := hostMemoryController()
	if err != nil {
		return u, err
	}
	if u.Cgroup, err = c.read(s.Cgroup); err != nil {
		err = fmt.Errorf("reading the memory of cgroup %s: %w", s.Cgroup, err)
	}
	return u, err
}

// A memoryController is where a hierarchy with the memory controller is mounted.
type memoryController struct {
	mount   string
	version int // of cgroups, 1 or 2
}

// hostMemoryController returns where the memory controller was when it was first
// called.
var hostMemoryController = sync.OnceValues(func() (memoryController, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return memoryController{}, fmt.Errorf("looking for the memory controller: %w", err)
	}
	return memoryControllerOf(mounts)
})

// memoryControllerOf finds the memory controller, which one hierarchy alone can
// have, also where both versions are mounted.
func memoryControllerOf(mounts []*mountinfo.Info) (memoryController, error) {
	for _, m := range mounts {
		switch m.FSType {
		case "cgroup":
			if slices.Contains(strings.Split(m.VFSOptions, ","), "memory") {
				return memoryController{m.Mountpoint, 1}, nil
			}
		case "cgroup2":
			has, err := os.ReadFile(filepath.Join(m.Mountpoint, "cgroup.controllers"))
			if err == nil && slices.Contains(strings.Fields(string(has)), "memory") {
				return memoryController{m.Mountpoint, 2}, nil
			}
		}
	}
	return memoryController{}, &runtime.Unavailable{What: "memory of cgroups", Why: "no mounted cgroup hierarchy has the memory controller",
		Fix: "boot without cgroup_disable=memory and mount cgroup2 at /sys/fs/cgroup"}
}

// cgroupFiles are what each version of cgroups tells what in.
var cgroupFiles = map[int]struct{ usage, peak, kernel cgroupFile }{
	1: {
		usage:  cgroupFile{"memory.usage_in_bytes", cgroupBytes},
		peak:   cgroupFile{"memory.max_usage_in_bytes", cgroupBytes},
		kernel: cgroupFile{"memory.kmem.usage_in_bytes", cgroupBytes},
	},
	2: {
		usage:  cgroupFile{"memory.current", cgroupBytes},
		peak:   cgroupFile{"memory.peak", cgroupBytes},
		kernel: cgroupFile{"memory.stat", cgroupKernel},
	},
}

func (c memoryController) read(cgroup string) (u CgroupUsage, err error) {
	dir := filepath.Join(c.mount, path.Clean("/"+cgroup))
	files := cgroupFiles[c.version]
	if u.Peak, err = files.peak.read(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return CgroupUsage{}, err
	}
	if u.Kernel, err = files.kernel.read(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return CgroupUsage{}, err
	}
	// This file every kernel has. It comes last, so that where it is there the
	// others were not missing because the cgroup was.
	if u.Usage, err = files.usage.read(dir); err != nil {
		return CgroupUsage{}, err
	}
	return u, nil
}

// A cgroupFile is a file of a cgroup, with what makes bytes of its text.
type cgroupFile struct {
	name  string
	parse func(string) (int64, error)
}

func (f cgroupFile) read(dir string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, f.name))
	if err != nil {
		return 0, err
	}
	n, err := f.parse(string(b))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", f.name, err)
	}
	return n, nil
}

func cgroupBytes(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) }

// cgroupKernel takes what the kernel keeps from a memory.stat of version 2:
// "kernel", which is there since Linux 5.18, or else the parts of it.
func cgroupKernel(stat string) (sum int64, err error) {
	for line := range strings.Lines(stat) {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "kernel":
			return cgroupBytes(value)
		case "kernel_stack", "pagetables", "percpu", "slab":
			n, err := cgroupBytes(value)
			if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}
