package measure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/procfs"
)

// HostMemory is what the kernel says about the memory of the whole host, in
// bytes. What it keeps for processes is found by comparing a reading with them
// and one without; everything else that the host does is in the difference too.
// What a kernel does not tell is 0.
type HostMemory struct {
	Total        int64
	Available    int64 // that could be taken without swapping, by the kernel's estimate
	PageTables   int64 // those of virtual machines and devices too
	KernelStacks int64
	Slab         int64 // the kernel's objects that it cannot give back: not its caches of directory entries and inodes
	PerCPU       int64
}

// Kernel is what the kernel keeps for its own: page tables, stacks, objects and
// the counters of each processor. What it gives back in need is left out, as
// cached files are.
func (h HostMemory) Kernel() int64 {
	return h.PageTables + h.KernelStacks + h.Slab + h.PerCPU
}

// ReadHostMemory reads /proc/meminfo. It is an error when the kernel does not
// tell how much memory is available.
func ReadHostMemory(ctx context.Context) (HostMemory, error) {
	if ctx.Err() != nil {
		return HostMemory{}, context.Cause(ctx)
	}
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return HostMemory{}, fmt.Errorf("reading the memory of the host: %w", err)
	}
	m, err := proc.Meminfo()
	if err != nil {
		return HostMemory{}, fmt.Errorf("reading the memory of the host: %w", err)
	}
	if m.MemTotalBytes == nil || m.MemAvailableBytes == nil {
		return HostMemory{}, errors.New("reading the memory of the host: /proc/meminfo has no MemTotal or no MemAvailable: a kernel of version 3.14 or later has both")
	}
	bytes := func(v *uint64) int64 {
		if v == nil {
			return 0
		}
		return int64(*v)
	}
	return HostMemory{
		Total:        bytes(m.MemTotalBytes),
		Available:    bytes(m.MemAvailableBytes),
		PageTables:   bytes(m.PageTablesBytes) + bytes(m.SecPageTablesBytes),
		KernelStacks: bytes(m.KernelStackBytes),
		Slab:         bytes(m.SUnreclaimBytes),
		PerCPU:       bytes(m.PercpuBytes),
	}, nil
}

// kernelPause is the time between two readings of a floor.
const kernelPause = 20 * time.Millisecond

// KernelFloor returns by how many bytes HostMemory.Kernel moves on this host, the
// largest less the smallest reading, during a window in which nothing is measured.
// What the kernel has taken for instances shows above it. A window of 0 gives 0, which
// is no floor.
func KernelFloor(ctx context.Context, window time.Duration) (int64, error) {
	return swing(ctx, window, func(ctx context.Context) (int64, error) {
		h, err := ReadHostMemory(ctx)
		return h.Kernel(), err
	})
}

// swing returns by how much a value moves during a window. Its first reading is at
// the begin of it and its last at the end.
func swing(ctx context.Context, window time.Duration, read func(context.Context) (int64, error)) (int64, error) {
	if window <= 0 {
		return 0, nil
	}
	end := time.NewTimer(window)
	defer end.Stop()
	pause := time.NewTicker(kernelPause)
	defer pause.Stop()
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for last := false; ; {
		v, err := read(ctx)
		if err != nil {
			return 0, err
		}
		least, most = min(least, v), max(most, v)
		if last {
			return most - least, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-end.C:
			last = true
		case <-pause.C:
		}
	}
}
