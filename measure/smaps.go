package measure

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A mapping is a range of the addresses of a process, as /proc/PID/smaps tells
// of it.
type mapping struct {
	start, end uintptr
	perms      string // "rwxp", with - for what is not allowed and s for what is shared
	path       string // of the file, or the kernel's name for it in brackets, or ""
	pss        int64  // bytes, those of the hugetlb pool in full
	rss        int64  // bytes, those of the hugetlb pool left out
	shared     bool   // other processes map some of its pages: the kernel has rounded pss down to KiB
}

// readMappings returns the mappings of a process in the order of their
// addresses. A process that has ended has none: the error wraps os.ErrNotExist
// or unix.ESRCH.
func readMappings(ctx context.Context, pid int) ([]mapping, error) {
	f, err := os.Open(procPath(pid, "smaps"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ms, err := parseMappings(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if len(ms) == 0 {
		return nil, fmt.Errorf("%s is empty: %w", f.Name(), unix.ESRCH)
	}
	return ms, nil
}

func procPath(pid int, file string) string { return fmt.Sprintf("/proc/%d/%s", pid, file) }

// errSmaps is the error of text that is not that of smaps.
var errSmaps = errors.New("not as the kernel writes it")

// parseMappings reads smaps: for each mapping a line that begins with its
// addresses, and after it lines with a name that begins with a capital.
func parseMappings(ctx context.Context, r io.Reader) ([]mapping, error) {
	var ms []mapping
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > 0 && (line[0] < 'A' || line[0] > 'Z') {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			m, err := parseMapping(string(line))
			if err != nil {
				return nil, err
			}
			ms = append(ms, m)
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(ms) == 0 {
			return nil, fmt.Errorf("%w: line %q", errSmaps, line)
		}
		if err := ms[len(ms)-1].add(name, value); err != nil {
			return nil, err
		}
	}
	return ms, lines.Err()
}

// parseMapping reads the first line of a mapping. Its path is what follows five
// other fields and may contain anything but a line feed.
func parseMapping(line string) (m mapping, err error) {
	var fields [5]string // addresses, permissions, offset, device, inode
	rest := line
	for i := range fields {
		fields[i], rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	}
	from, to, ok := strings.Cut(fields[0], "-")
	if !ok || len(fields[1]) != 4 || fields[4] == "" {
		return m, fmt.Errorf("%w: line %q", errSmaps, line)
	}
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return m, fmt.Errorf("%w: line %q: %w", errSmaps, line, err)
	}
	end, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil {
		return m, fmt.Errorf("%w: line %q: %w", errSmaps, line, err)
	}
	return mapping{start: uintptr(start), end: uintptr(end), perms: fields[1], path: strings.TrimLeft(rest, " ")}, nil
}

// add takes in a line about the mapping.
func (m *mapping) add(name, value []byte) error {
	switch string(name) {
	case "Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Shared_Hugetlb", "Private_Hugetlb":
	default:
		return nil
	}
	kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(value, []byte("kB")))), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errSmaps, name, err)
	}
	switch string(name) {
	case "Rss":
		m.rss = kib << 10
	case "Shared_Clean", "Shared_Dirty":
		m.shared = m.shared || kib > 0
	default:
		m.pss += kib << 10
	}
	return nil
}

func (m *mapping) readable() bool   { return m.perms[0] == 'r' }
func (m *mapping) writable() bool   { return m.perms[1] == 'w' }
func (m *mapping) executable() bool { return m.perms[2] == 'x' }

// ofFile reports whether the mapping is of a file on disk. Files that only give
// memory a name, as memfd_create(2) and shared anonymous mappings have them, are
// none.
func (m *mapping) ofFile() bool {
	if !strings.HasPrefix(m.path, "/") {
		return false
	}
	for _, memory := range []string{"/memfd:", "/dev/zero", "/dev/shm/", "/SYSV"} {
		if strings.HasPrefix(m.path, memory) {
			return false
		}
	}
	return true
}

// ofKernel reports whether the kernel has put the mapping there, as it does with
// [vdso].
func (m *mapping) ofKernel() bool {
	return strings.HasPrefix(m.path, "[") && m.path != "[heap]" && m.path != "[stack]" && !strings.HasPrefix(m.path, "[anon")
}

// anonymous reports whether the mapping is memory of the process's own.
func (m *mapping) anonymous() bool { return !m.ofFile() && !m.ofKernel() }

// spread adds the rest of a process's PSS, known to the byte, to the mappings of
// which the kernel has rounded it down. What the process has grown by between the
// two readings does not fit and stays out.
func spread(ms []mapping, pss int64) {
	var n int64
	for i := range ms {
		pss -= ms[i].pss
		if ms[i].shared {
			n++
		}
	}
	pss = min(max(pss, 0), n<<10)
	for i := range ms {
		if ms[i].shared {
			part := pss / n
			ms[i].pss += part
			pss, n = pss-part, n-1
		}
	}
}
