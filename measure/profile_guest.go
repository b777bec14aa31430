package measure

import (
	"context"
	"os"
	"path"
	"strings"
	"unicode"

	"github.com/prometheus/procfs"
)

// guestProfile divides the memory of a guest's processes.
type guestProfile struct {
	opts ProfileOptions

	text, heap, jit, anon, language, libs int64

	v8Resident, v8Size int64 // of what looks like V8's pages
}

func (g *guestProfile) add(ctx context.Context, proc procfs.FS, pid int) error {
	exe, err := os.Readlink(procPath(pid, "exe"))
	if err != nil {
		return err
	}
	exe = strings.ReplaceAll(exe, "\n", `\012`) // as smaps has it
	ms, err := mappingsOf(ctx, proc, pid)
	if err != nil {
		return err
	}
	for i := range ms {
		m := &ms[i]
		switch {
		// As paths and not as inodes: of a file on an overlay the kernel tells
		// one inode here and another one there.
		case m.path == exe && g.opts.Interpreted, m.ofFile() && g.opts.Interpreted && ofLanguage(m.path, exe):
			g.language += m.pss
		case m.path == exe:
			g.text += m.pss
		case !m.anonymous():
			g.libs += m.pss
		case m.path == "[heap]":
			g.heap += m.pss
		case m.executable():
			g.jit += m.pss
		case g.opts.V8Heap > 0 && ofV8(m):
			g.v8Resident += m.pss
			g.v8Size += int64(m.end - m.start)
		default:
			g.anon += m.pss
		}
	}
	return nil
}

// Where V8 puts the pages of its heap: at multiples of 256 KiB of addresses that
// it chooses at random among those of 46 bits. The kernel itself puts mappings
// above these, and programs and their heaps are no multiples.
const (
	v8Page      = 256 << 10
	v8Addresses = 1 << 46
)

func ofV8(m *mapping) bool {
	return m.readable() && m.writable() && uint64(m.start)%v8Page == 0 && uint64(m.end) <= v8Addresses
}

// isV8Heap reports whether what was found is about as large as the heap is said
// to be. It differs by the pages of code, by those that V8 keeps for later and
// by what the heap has grown by meanwhile.
func (g *guestProfile) isV8Heap() bool {
	const slack = 1 << 20
	off := max(g.v8Size-g.opts.V8Heap, g.opts.V8Heap-g.v8Size)
	return g.v8Size > 0 && off <= g.opts.V8Heap/8+slack
}

func (g *guestProfile) components() []Component {
	var parts []Component
	if !g.opts.Interpreted {
		parts = append(parts, Component{"app-text", g.text})
	}
	parts = append(parts, Component{"app-heap", g.heap}, Component{"app-jit", g.jit})
	if g.isV8Heap() {
		parts = append(parts, Component{"app-anon", g.anon}, Component{"v8-heap", g.v8Resident})
	} else {
		parts = append(parts, Component{"app-anon", g.anon + g.v8Resident})
	}
	if g.opts.Interpreted {
		parts = append(parts, Component{"language", g.language})
	}
	return append(parts, Component{"libs", g.libs})
}

// ofLanguage reports whether a file comes with the interpreter exe, such as
// python3.11: its library, libpython3.11.so.1.0, or what lies in a directory of its
// name below a lib, lib/python3.11/lib-dynload.
func ofLanguage(file, exe string) bool {
	name := strings.TrimRight(path.Base(strings.TrimSuffix(exe, " (deleted)")), "0123456789.-")
	if name == "" || name == "/" {
		return false
	}
	dir, base := path.Split(file)
	if rest, ok := strings.CutPrefix(base, "lib"+name); ok && strings.IndexFunc(rest, unicode.IsLetter) != 0 {
		return true
	}
	below := false
	for part := range strings.SplitSeq(dir, "/") {
		switch {
		case part == "lib" || part == "lib64":
			below = true
		case below && strings.TrimRight(part, "0123456789.-") == name:
			return true
		}
	}
	return false
}
