package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

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
	mounts, err := cgroupMounts()
	if err != nil {
		return u, fmt.Errorf("looking for the memory controller: %w", err)
	}
	h, err := memoryHierarchy(mounts)
	if err != nil {
		return u, err
	}
	if u.Cgroup, err = h.memory(s.Cgroup); err != nil {
		err = fmt.Errorf("reading the memory of cgroup %s: %w", s.Cgroup, err)
	}
	return u, err
}

func memoryHierarchy(mounts []*mountinfo.Info) (hierarchy, error) {
	h, ok := hierarchyOf("memory", mounts)
	if !ok {
		return h, &runtime.Unavailable{What: "memory of cgroups", Why: "no mounted cgroup hierarchy has the memory controller",
			Fix: "boot without cgroup_disable=memory and mount cgroup2 at /sys/fs/cgroup"}
	}
	return h, nil
}

// memory reads what is charged to a cgroup of the memory controller's hierarchy.
func (h hierarchy) memory(cgroup string) (u CgroupUsage, err error) {
	dir, files := h.dir(cgroup), memoryFiles[h.version]
	if u.Peak, err = cgroupNumber(dir, files.peak); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return CgroupUsage{}, err
	}
	if u.Kernel, err = h.kernelMemory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return CgroupUsage{}, err
	}
	// This file every kernel has. It comes last, so that where it is there the
	// others were not missing because the cgroup was.
	if u.Usage, err = cgroupNumber(dir, files.usage); err != nil {
		return CgroupUsage{}, err
	}
	return u, nil
}

// kernelMemory returns what the kernel keeps for a cgroup. Version 2 tells it as
// one number since Linux 5.18, and before as the parts of it.
func (h hierarchy) kernelMemory(dir string) (int64, error) {
	if h.version == 1 {
		return cgroupNumber(dir, "memory.kmem.usage_in_bytes")
	}
	stat, err := cgroupNumbers(dir, "memory.stat")
	if err != nil {
		return 0, err
	}
	if kernel, ok := stat["kernel"]; ok {
		return kernel, nil
	}
	return stat["kernel_stack"] + stat["pagetables"] + stat["percpu"] + stat["slab"], nil
}
