package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// engineProfile divides the memory of an engine's processes.
type engineProfile struct {
	mapped       bool // it is known where the instance lies
	linear, code area // in the first of them
	begun        bool // the first has been read

	linearBytes, codeBytes, stack, engine int64
}

func newEngineProfile(regions []runtime.Region) *engineProfile {
	return &engineProfile{mapped: len(regions) > 0, linear: newArea(regions, runtime.LinearMemory), code: newArea(regions, runtime.ModuleCode)}
}

func (e *engineProfile) add(ctx context.Context, proc procfs.FS, pid int) error {
	ms, err := mappingsOf(ctx, proc, pid)
	if err != nil {
		return err
	}
	linear, code := &area{}, &area{}
	if !e.begun {
		e.begun = true
		linear, code = &e.linear, &e.code
	}
	stacks, err := threadStacks(pid, ms)
	if err != nil {
		return err
	}
	pages, err := openPagemap(pid)
	if err != nil {
		return err
	}
	defer pages.Close()
	for i := range ms {
		m := &ms[i]
		if m.pss == 0 {
			continue
		}
		l, err := linear.part(ctx, m, pages)
		if err != nil {
			return err
		}
		c, err := code.part(ctx, m, pages)
		if err != nil {
			return err
		}
		c = min(c, m.pss-l)
		e.linearBytes += l
		e.codeBytes += c
		switch rest := m.pss - l - c; {
		case m.executable() && m.anonymous():
			e.codeBytes += rest
		case m.path == "[stack]" || stacks[m.start]:
			e.stack += rest
		default:
			e.engine += rest
		}
	}
	return nil
}

func (e *engineProfile) components() []Component {
	parts := []Component{{"code", e.codeBytes}, {"stack", e.stack}, {"engine", e.engine}}
	if e.mapped {
		parts = slices.Insert(parts, 0, Component{"linear", e.linearBytes})
	}
	return parts
}

// An area is where what is of one kind lies.
type area struct {
	spans []span // in the order of their addresses, without overlaps
	paths []string
}

// newArea returns the area of all regions of a kind. Memory comes by the page:
// one that a region begins or ends in belongs to it.
func newArea(regions []runtime.Region, kind runtime.RegionKind) (a area) {
	within := uintptr(os.Getpagesize() - 1)
	var spans []span
	for _, r := range regions {
		switch {
		case r.Kind != kind:
		case r.Path != "":
			a.paths = append(a.paths, asMapped(r.Path))
		case r.Start < r.End:
			spans = append(spans, span{r.Start &^ within, (r.End + within) &^ within})
		}
	}
	slices.SortFunc(spans, func(s, t span) int { return cmp.Compare(s.start, t.start) })
	for _, s := range spans {
		if last := len(a.spans) - 1; last >= 0 && s.start <= a.spans[last].end {
			a.spans[last].end = max(a.spans[last].end, s.end)
		} else {
			a.spans = append(a.spans, s)
		}
	}
	return a
}

// asMapped returns a path as smaps has it.
func asMapped(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return strings.ReplaceAll(filepath.Clean(path), "\n", `\012`)
}

// part returns how many bytes of a mapping's PSS lie in the area. Mappings that
// are alike and lie side by side are one to the kernel: then it counts pages.
func (a *area) part(ctx context.Context, m *mapping, pages *pagemap) (int64, error) {
	file := strings.TrimSuffix(m.path, " (deleted)")
	if slices.ContainsFunc(a.paths, func(p string) bool { return file == p || strings.HasPrefix(file, p+"/") }) {
		return m.pss, nil
	}
	first, _ := slices.BinarySearchFunc(a.spans, m.start, func(s span, at uintptr) int { return cmp.Compare(s.end, at+1) })
	spans := a.spans[first:]
	after, _ := slices.BinarySearchFunc(spans, m.end, func(s span, at uintptr) int { return cmp.Compare(s.start, at) })
	spans = spans[:after]
	switch {
	case len(spans) == 0:
		return 0, nil
	case spans[0].start <= m.start && spans[0].end >= m.end:
		return m.pss, nil
	}
	return pages.share(ctx, m, spans)
}

// largestGuard is the most that lies without permissions below a thread's
// stack. The C library makes it a page; what Go reserves below its heap is of
// several MiB.
const largestGuard = 1 << 20

// threadStacks returns where the mappings start that threads have their stacks
// in: those into which a stack pointer points and that a guard precedes. Go's heap,
// where goroutines have theirs, has none.
func threadStacks(pid int, ms []mapping) (map[uintptr]bool, error) {
	pointers, err := stackPointers(pid, os.ReadFile)
	if err != nil {
		return nil, err
	}
	stacks := map[uintptr]bool{}
	for _, p := range pointers {
		i, _ := slices.BinarySearchFunc(ms, p, func(m mapping, at uintptr) int { return cmp.Compare(m.end, at+1) })
		if i == 0 || i == len(ms) || ms[i].start > p || !ms[i].anonymous() || ms[i].perms != "rw-p" {
			continue
		}
		if g := &ms[i-1]; g.end == ms[i].start && g.perms == "---p" && g.anonymous() && g.end-g.start <= largestGuard {
			stacks[ms[i].start] = true
		}
	}
	return stacks, nil
}

// stackPointers returns those of a process's threads, but for threads that run
// at the moment, have ended or may not be looked at: that takes the right to trace
// them, which is more than it takes to read their memory's size.
func stackPointers(pid int, read func(path string) ([]byte, error)) ([]uintptr, error) {
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil, err
	}
	var pointers []uintptr
	for _, t := range tasks {
		b, err := read(procPath(pid, "task/"+t.Name()+"/syscall"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// The call's number and arguments, if it is in one, then the stack
		// pointer and the instruction's; or "running".
		fields := strings.Fields(string(b))
		if len(fields) < 3 {
			continue
		}
		p, err := strconv.ParseUint(fields[len(fields)-2], 0, strconv.IntSize)
		if err != nil {
			return nil, fmt.Errorf("reading the stack pointer of thread %s: %w", t.Name(), err)
		}
		pointers = append(pointers, uintptr(p))
	}
	return pointers, nil
}
