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
// size bytes of the address space. It returns a *runtime.Exhausted that wraps
// cause where this process cannot have as much any more, and cause otherwise:
// engines report a lack of it in many ways, some as a fault of the guest.
func Exhausted(size uint64, cause error) error {
	if reservable(size) {
		return cause
	}
	maps, most, err := countMaps()
	if err != nil {
		return errors.Join(cause, err)
	}
	if maps+mapsOfOne >= most {
		return &runtime.Exhausted{
			What: "maps of a process",
			Why:  fmt.Sprintf("the engine host has %d of the %d that vm.max_map_count allows", maps, most),
			Fix:  "raise it as root: sysctl -w vm.max_map_count=" + strconv.Itoa(10*most),
			Err:  cause,
		}
	}
	e := &runtime.Exhausted{
		What: "address space",
		Why:  fmt.Sprintf("an instance takes %d MiB of it, and the engine host cannot reserve as much any more", size>>20),
		Fix:  "hold the instances in several processes",
		Err:  cause,
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		e.Why += fmt.Sprintf(": it is limited to %d MiB", limit.Cur>>20)
		e.Fix = "raise ulimit -v"
	}
	return e
}

// mapsOfOne is more than an engine maps for one instance.
const mapsOfOne = 8

// reservable tells whether a reservation of size bytes could be had, of which a
// part in the middle is used.
func reservable(size uint64) bool {
	page := uint64(os.Getpagesize())
	b, err := unix.Mmap(-1, 0, int(size+2*page), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return false
	}
	defer unix.Munmap(b)
	return unix.Mprotect(b[page:2*page], unix.PROT_READ|unix.PROT_WRITE) == nil
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
