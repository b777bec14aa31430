package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// hostGauges returns those of the host, of this process and of the cgroups that
// it is in.
func hostGauges(l Limits) ([]*gauge, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("reading the limits of the host: %w", err)
	}
	memory, err := memoryGauge(l)
	if err != nil {
		return nil, err
	}
	tasks, err := taskGauge(proc, l)
	if err != nil {
		return nil, err
	}
	files, err := fileGauge(os.Getpid(), l)
	if err != nil {
		return nil, err
	}
	groups, err := ownCgroupGauges(proc, l)
	if err != nil {
		return nil, err
	}
	return append([]*gauge{memory, tasks, files}, groups...), nil
}

// spare is what stays of so many, for the host to be of use and for processes to
// end in order.
func spare(given, most int64) int64 { return min(given/16, most) }

// least returns the lesser of what a caller allows and what the host gives, and
// how to raise it. 0 allows all.
func least(allowed int64, field string, given int64, remedy string) (int64, string) {
	if allowed > 0 && allowed < given {
		return allowed, "raise Limits." + field
	}
	return given, remedy
}

// floor is how much of memory stays available.
func floor(l Limits, memory int64) int64 {
	const least = 512 << 20
	if l.FreeMemory > 0 {
		return l.FreeMemory
	}
	return max(memory/16, min(least, memory/2))
}

const freeMemoryFix = "lower Limits.FreeMemory, or free or add memory"

func memoryGauge(l Limits) (*gauge, error) {
	host, err := ReadHostMemory(context.Background())
	if err != nil {
		return nil, err
	}
	return &gauge{limit: LimitFreeMemory, floor: true, most: floor(l, host.Total), fix: freeMemoryFix, read: func() (int64, error) {
		host, err := ReadHostMemory(context.Background())
		return host.Available, err
	}}, nil
}

func taskGauge(proc procfs.FS, l Limits) (*gauge, error) {
	most, remedy := int64(math.MaxInt64), ""
	for _, name := range []string{"kernel.pid_max", "kernel.threads-max"} {
		v, err := proc.SysctlInts(name)
		if err != nil || len(v) == 0 {
			return nil, fmt.Errorf("reading the limits of the host: sysctl %s: %w", name, err)
		}
		if int64(v[0]) < most {
			most, remedy = int64(v[0]), fmt.Sprintf("raise sysctl %s, which is %d", name, v[0])
		}
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &own); err == nil && os.Geteuid() != 0 && own.Cur < uint64(most) {
		most, remedy = int64(own.Cur), fmt.Sprintf("raise ulimit -u, which is %d", own.Cur)
	}
	most -= spare(most, 512)
	most, remedy = least(int64(l.Tasks), "Tasks", most, remedy)
	return &gauge{limit: LimitTasks, most: most, fix: remedy, read: countTasks}, nil
}

// countTasks returns how many processes and threads the host has. That is the
// second part of /proc/loadavg's fourth field; procfs has the first three.
func countTasks() (int64, error) {
	const path = "/proc/loadavg"
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if fields := strings.Fields(string(b)); len(fields) > 3 {
		_, all, _ := strings.Cut(fields[3], "/")
		if n, err := strconv.ParseInt(all, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s does not tell how many tasks there are: %q", path, b)
}

// fileGauge returns that of the files that a process has open.
func fileGauge(pid int, l Limits) (*gauge, error) {
	var own unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &own); err != nil {
		return nil, fmt.Errorf("reading RLIMIT_NOFILE of process %d: %w", pid, err)
	}
	most := int64(min(own.Cur, math.MaxInt64))
	most, fix := least(int64(l.Files), "Files", most-spare(most, 128), fmt.Sprintf("raise its ulimit -n, which is %d", own.Cur))
	return &gauge{limit: LimitOpenFiles, most: most, fix: fix, read: func() (int64, error) {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return 0, err
		}
		n, err := p.FileDescriptorsLen()
		return int64(n), err
	}}, nil
}

// processGauges returns those of a process that several instances share, such as
// an engine's host or a daemon. What this process may not read of it is left out.
func processGauges(pid int, l Limits) (gauges []*gauge, err error) {
	where := fmt.Sprintf("process %d, which instances share", pid)
	most, remedy := addresses(pid)
	most, remedy = least(l.AddressSpace, "AddressSpace", most, remedy)
	space := &gauge{limit: LimitAddressSpace, most: most, fix: remedy, read: func() (int64, error) {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return 0, err
		}
		stat, err := p.Stat()
		return int64(stat.VirtualMemory()), err
	}}
	most, remedy = mappings()
	most, remedy = least(int64(l.Maps), "Maps", most, remedy)
	maps := &gauge{limit: LimitMapCount, most: most, fix: remedy, read: func() (int64, error) {
		return countLines(procPath(pid, "maps"))
	}}
	all := []*gauge{space, maps}
	files, err := fileGauge(pid, l)
	switch {
	case err == nil:
		all = append(all, files)
	case !errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	for _, g := range all {
		g.where = where
		read := g.read
		g.read = func() (int64, error) {
			n, err := read()
			if err != nil {
				err = fmt.Errorf("%s: %w", where, err)
			}
			return n, err
		}
		if _, err := g.read(); !errors.Is(err, fs.ErrPermission) {
			gauges = append(gauges, g)
		}
	}
	return gauges, nil
}

// mappings is how many a process may have.
func mappings() (most int64, fix string) {
	const name = "vm.max_map_count"
	most = 65530 // the kernel's, where it does not tell
	if proc, err := procfs.NewDefaultFS(); err == nil {
		if v, err := proc.SysctlInts(name); err == nil && len(v) == 1 {
			most = int64(v[0])
		}
	}
	return most - spare(most, 256), fmt.Sprintf("raise sysctl %s, which is %d", name, most)
}

// addresses is how many bytes of addresses a process may take: what it was
// allowed, or else what the processor gives it. The stack is near the end of
// that, which is a power of two.
func addresses(pid int) (most int64, fix string) {
	var own unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_AS, nil, &own); err == nil && own.Cur < math.MaxInt64 {
		return int64(own.Cur) - spare(int64(own.Cur), 64<<20), fmt.Sprintf("raise ulimit -v, which is %d KiB", own.Cur>>10)
	}
	most = 1 << 47 // amd64, where the process does not tell
	if p, err := procfs.NewProc(pid); err == nil {
		if stat, err := p.Stat(); err == nil && stat.StartStack > math.MaxUint32 {
			most = 1 << bits.Len64(stat.StartStack)
		}
	}
	return most - most/64, "use more processes, or guests or settings that reserve less: it is what the processor gives a process"
}

// countLines counts the lines of a file of /proc. The kernel takes some
// milliseconds for 10,000 mappings; taking the lines apart would take more.
func countLines(path string) (n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	for {
		got, err := f.Read(b)
		n += int64(bytes.Count(b[:got], []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
