package enginehost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Exhausted finds out why the engine could not make an instance that reserves
// size bytes of the address space, readable and writable if writable is set and
// inaccessible until they are used otherwise: what is writable counts against
// more limits. It returns a *runtime.Exhausted that wraps cause where this
// process cannot have as much any more, and cause otherwise: engines report a
// lack of it in many ways, some as a fault of the guest.
func Exhausted(size uint64, writable bool, cause error) error {
	if reservable(size, writable) {
		return cause
	}
	e, err := usedUp(size, writable)
	if err != nil {
		return errors.Join(cause, err)
	}
	e.Err = cause
	return e
}

// usedUp tells what there is too little of.
func usedUp(size uint64, writable bool) (*runtime.Exhausted, error) {
	maps, most, err := countMaps()
	if err != nil {
		return nil, err
	}
	if maps+mapsOfOne >= most {
		return &runtime.Exhausted{
			What: "maps of a process",
			Why:  fmt.Sprintf("the engine host has %d of the %d that vm.max_map_count allows", maps, most),
			Fix:  "raise it as root: sysctl -w vm.max_map_count=" + strconv.Itoa(10*most),
		}, nil
	}
	wanted := uint64(os.Getpagesize())
	if writable {
		wanted = size
	}
	if e, err := overData(wanted); e != nil || err != nil {
		return e, err
	}
	if mapped(size, unix.PROT_NONE) {
		if e, err := overCommit("/proc", wanted); e != nil || err != nil {
			return e, err
		}
	}
	e := &runtime.Exhausted{
		What: "address space",
		Why:  fmt.Sprintf("an instance takes %d MiB of it, and the engine host cannot reserve as much any more", size>>20),
		Fix:  "hold the instances in several processes",
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		e.Why += fmt.Sprintf(": it is limited to %d MiB", limit.Cur>>20)
		e.Fix = "raise ulimit -v"
	}
	return e, nil
}

// mapsOfOne is more than an engine maps for one instance.
const mapsOfOne = 8

// reservable tells whether a reservation of size bytes could be had, of which a
// part in the middle is used.
func reservable(size uint64, writable bool) bool {
	if writable {
		return mapped(size, unix.PROT_READ|unix.PROT_WRITE)
	}
	page := uint64(os.Getpagesize())
	b, err := reserve(size+2*page, unix.PROT_NONE)
	if err != nil {
		return false
	}
	defer unix.Munmap(b)
	return unix.Mprotect(b[page:2*page], unix.PROT_READ|unix.PROT_WRITE) == nil
}

func mapped(size uint64, protection int) bool {
	b, err := reserve(size, protection)
	return err == nil && unix.Munmap(b) == nil
}

func reserve(size uint64, protection int) ([]byte, error) {
	return unix.Mmap(-1, 0, int(size), protection, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

// overData says that size bytes more are more than ulimit -d allows, or returns
// nil: what is private and writable counts as data, whether it is used or not.
func overData(size uint64) (*runtime.Exhausted, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &limit); err != nil || limit.Cur == unix.RLIM_INFINITY {
		return nil, err
	}
	data, err := field("/proc/self/status", "VmData")
	if err != nil || data+size <= limit.Cur {
		return nil, err
	}
	return &runtime.Exhausted{
		What: "data segment",
		Why:  fmt.Sprintf("an instance takes %d KiB of it, and the engine host has %d MiB of the %d that it is limited to", size>>10, data>>20, limit.Cur>>20),
		Fix:  "raise ulimit -d",
	}, nil
}

// overCommit says that size bytes more are more than a kernel promises that
// promises no more than it has, or returns nil. proc is where it tells of itself.
func overCommit(proc string, size uint64) (*runtime.Exhausted, error) {
	mode, err := os.ReadFile(proc + "/sys/vm/overcommit_memory")
	if err != nil || strings.TrimSpace(string(mode)) != "2" {
		return nil, err
	}
	limit, err := field(proc+"/meminfo", "CommitLimit")
	if err != nil {
		return nil, err
	}
	promised, err := field(proc+"/meminfo", "Committed_AS")
	if err != nil {
		return nil, err
	}
	return &runtime.Exhausted{
		What: "memory that the kernel promises",
		Why:  fmt.Sprintf("an instance is to be promised %d KiB, and %d MiB of the CommitLimit of %d are promised, for vm.overcommit_memory is 2", size>>10, promised>>20, limit>>20),
		Fix:  "let the kernel promise more, as root: sysctl -w vm.overcommit_memory=0, or raise vm.overcommit_ratio",
	}, nil
}

// field reads a figure of a file of the kernel, in bytes.
func field(path, name string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			kib, err := strconv.ParseUint(f[1], 10, 54)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// countMaps tells how many maps this process has and how many it may have.
func countMaps() (n, most int, err error) {
	limit, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return 0, 0, err
	}
	if most, err = strconv.Atoi(strings.TrimSpace(string(limit))); err != nil {
		return 0, 0, err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var buf [16 << 10]byte
	for {
		read, err := f.Read(buf[:])
		n += bytes.Count(buf[:read], []byte{'\n'})
		if err == io.EOF {
			return n, most, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}
