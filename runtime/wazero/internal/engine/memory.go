package engine

import (
	"context"
	"fmt"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// free holds reserved regions that no instance uses, by their size. All their
// bytes are zero.
var free struct {
	sync.Mutex
	regions map[int][][]byte
}

// keep is how many regions of one size are kept for later instances.
const keep = 64

// mostMemory is the largest size that the memory of m may get, in bytes: the
// module's own or limit, the engine's. wazero tells nothing of a memory that the
// module does not export, so that it may have one counts as one of that limit.
func mostMemory(m wazero.CompiledModule, limit uint64) int {
	definition, ok := m.ExportedMemories()[exchange.Memory]
	if !ok {
		return int(limit)
	}
	pages, _ := definition.Max()
	return int(pages) * pageSize
}

// reserve returns a memory of size bytes at most. It goes back with the instance
// to which provide gives it, or by Free. It is reserved before there is an
// instance because wazero panics if it does not get one.
//
// It is writable from the beginning. To make it so as it is used would divide it
// in two maps, of which a process may have 65,530 by default, where reservations
// side by side are one; a start would take 3 µs more. For this a limit on data,
// and a kernel that promises no more than it has, count all of it.
func reserve(size int) (*memory, error) {
	if size == 0 {
		return &memory{}, nil
	}
	free.Lock()
	defer free.Unlock()
	if regions := free.regions[size]; len(regions) > 0 {
		free.regions[size] = regions[:len(regions)-1]
		return &memory{region: regions[len(regions)-1]}, nil
	}
	region, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		err = fmt.Errorf("reserving %d MiB for a memory: %w", size>>20, err)
		return nil, enginehost.Exhausted(uint64(size), true, err)
	}
	return &memory{region: region}, nil
}

// instantiate makes an instance, in which no code has run yet, with a memory that
// is reserved whole, so that growing never copies, and that later instances use
// again. most is its largest size in bytes.
func instantiate(ctx context.Context, r wazero.Runtime, m wazero.CompiledModule, config wazero.ModuleConfig, most int) (api.Module, *memory, error) {
	reserved, err := reserve(most)
	if err != nil {
		return nil, nil, err
	}
	taken := false
	guest, err := r.InstantiateModule(experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory {
		taken = true
		return reserved
	})), m, config)
	if err != nil || !taken {
		reserved.Free()
	}
	return guest, reserved, err
}

// regions tells where the memory lies. wazero's code needs no telling: no other
// memory of the process is executable and of no file.
func (m *memory) regions() []runtime.Region {
	if m.region == nil {
		return nil
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(m.region)))
	return []runtime.Region{{Kind: runtime.LinearMemory, Start: start, End: start + uintptr(len(m.region))}}
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
