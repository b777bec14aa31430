package load

import (
	"fmt"
	"os"
	goruntime "runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
)

// processors has a thread run on some processors, or where cpus is nil on those that
// it may.
func processors(cpus []int) osthread.Change {
	return func() (undo func() error, err error) {
		if cpus == nil {
			return func() error { return nil }, nil
		}
		var before unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return nil, fmt.Errorf("load: sched_getaffinity: %w", err)
		}
		if err := affinity(cpus); err != nil {
			return nil, err
		}
		return func() error { return os.NewSyscallError("sched_setaffinity", unix.SchedSetaffinity(0, &before)) }, nil
	}
}

// network takes a thread into the network namespace at a path, if that is not "".
func network(path string) osthread.Change {
	return func() (undo func() error, err error) {
		if path == "" {
			return func() error { return nil }, nil
		}
		if undo, err = osthread.Network(path)(); err != nil {
			return nil, &PlanError{Field: "Network", Why: "this process may not go there, or it is none", Err: err}
		}
		return undo, nil
	}
}

// affinity has the calling thread run on some processors.
func affinity(cpus []int) error {
	var set unix.CPUSet
	for _, c := range cpus {
		if c < 0 || c >= len(set)*int(unsafe.Sizeof(set[0]))*8 {
			return &PlanError{Field: "CPUs", Why: fmt.Sprintf("there is no processor %d", c)}
		}
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return &PlanError{Field: "CPUs", Why: fmt.Sprintf("this process may run on none of %v", cpus), Err: err}
	}
	return nil
}

// allowed is how many processors the caller may run on.
func allowed() int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return goruntime.NumCPU()
	}
	return set.Count()
}

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The calls that do not wait are made without the Go scheduler, which would give
// the thread's place to another goroutine whenever the kernel takes 20 µs to
// deliver what is sent.

func read(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func write(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// poll returns the events that there are.
func poll(epoll int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return counted(n, errno), errno
}

// longestWait is for how long a thread sleeps in milliseconds, whatever its timer
// does.
const longestWait = 1000

// wait returns the events that there are, when there are some or none for long.
func wait(epoll int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), longestWait, 0, 0)
	return counted(n, errno), errno
}

func counted(n uintptr, errno unix.Errno) int {
	if errno != 0 {
		return 0
	}
	return int(n)
}
