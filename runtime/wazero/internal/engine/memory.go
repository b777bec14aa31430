package engine

import (
	"context"
	"sync"

	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// withMemory makes the instances that ctx instantiates take their memory from
// regions of address space that are reserved whole, so that growing never
// copies, and used again by later instances.
func withMemory(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocate))
}

// free holds reserved regions that no instance uses, by their size. All their
// bytes are zero.
var free struct {
	sync.Mutex
	regions map[int][][]byte
}

// keep is how many regions of one size are kept for later instances.
const keep = 64

func allocate(_, most uint64) experimental.LinearMemory {
	if most == 0 {
		return &memory{}
	}
	size := int(most)
	free.Lock()
	defer free.Unlock()
	if regions := free.regions[size]; len(regions) > 0 {
		free.regions[size] = regions[:len(regions)-1]
		return &memory{region: regions[len(regions)-1]}
	}
	region, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return &memory{} // no address space is left: Reallocate refuses
	}
	return &memory{region: region}
}

// memory is the linear memory of one instance.
type memory struct {
	region []byte // reserved
	used   int    // bytes from the front that the guest has had
}

// Reallocate returns nil where there is no room, which the guest sees as a
// memory.grow that fails.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.region)) {
		return nil
	}
	m.used = max(m.used, int(size))
	return m.region[:size]
}

// clearBy is the size up to which zeroing a memory is cheaper than giving its
// pages back and taking new ones.
const clearBy = 1 << 20

// Free zeroes the region and keeps it, or gives it back.
func (m *memory) Free() {
	if m.region == nil {
		return
	}
	region := m.region
	m.region = nil
	if m.used <= clearBy {
		clear(region[:m.used])
	} else if unix.Madvise(region[:m.used], unix.MADV_DONTNEED) != nil {
		unix.Munmap(region)
		return
	}
	free.Lock()
	defer free.Unlock()
	if len(free.regions[len(region)]) >= keep {
		unix.Munmap(region)
		return
	}
	if free.regions == nil {
		free.regions = map[int][][]byte{}
	}
	free.regions[len(region)] = append(free.regions[len(region)], region)
}
