package measure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

func TestParseMappings(t *testing.T) {
	lines := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	tests := []struct {
		name, text string
		want       []mapping
	}{
		{"nothing", "", nil},
		{"a file whose pages others map", lines(
			"55d0c0a00000-55d0c0a21000 r-xp 00002000 fe:00 326269                     /usr/lib/x86_64-linux-gnu/libc.so.6",
			"Size:                132 kB", "Rss:                  60 kB", "Pss:                   7 kB", "Pss_Dirty:             3 kB", "Shared_Clean:         60 kB",
			"Shared_Dirty:          0 kB", "Private_Clean:         0 kB", "THPeligible:           0", "VmFlags: rd ex mr mw me sd ",
		), []mapping{{start: 0x55d0c0a00000, end: 0x55d0c0a21000, perms: "r-xp", path: "/usr/lib/x86_64-linux-gnu/libc.so.6", rss: 60 << 10, pss: 7 << 10, shared: true}}},
		{"several", lines(
			"c000000000-c000400000 rw-p 00000000 00:00 0                              [anon: Go: heap]", "Pss:                 884 kB", "Shared_Clean:          0 kB",
			"c000400000-c004000000 ---p 00000000 00:00 0 ", "Pss:                   0 kB",
			"7ffc1000-7ffc3000 rw-p 00000000 00:00 0                          [stack]", "Pss:                   8 kB",
		), []mapping{
			{start: 0xc000000000, end: 0xc000400000, perms: "rw-p", path: "[anon: Go: heap]", pss: 884 << 10},
			{start: 0xc000400000, end: 0xc004000000, perms: "---p"},
			{start: 0x7ffc1000, end: 0x7ffc3000, perms: "rw-p", path: "[stack]", pss: 8 << 10},
		}},
		{"a deleted file with spaces at both ends and colons", lines(
			"00400000-00404000 rw-s 00000000 fe:00 9995024                             /tmp/a b:  c/Pss: 1 kB (deleted)", "Pss: 4 kB",
		), []mapping{{start: 0x400000, end: 0x404000, perms: "rw-s", path: "/tmp/a b:  c/Pss: 1 kB (deleted)", pss: 4 << 10}}},
		{"memory by name", lines("7f0000000000-7f0000001000 rw-s 00000000 00:01 1026                      /memfd:wasm-memory-image (deleted)", "Shared_Dirty: 4 kB", "Pss: 2 kB"),
			[]mapping{{start: 0x7f0000000000, end: 0x7f0000001000, perms: "rw-s", path: "/memfd:wasm-memory-image (deleted)", pss: 2 << 10, shared: true}}},
		{"huge pages count in full", lines("7f0000000000-7f0000600000 rw-p 00000000 00:00 0", "Pss: 4 kB", "Shared_Hugetlb: 2048 kB", "Private_Hugetlb: 4096 kB"),
			[]mapping{{start: 0x7f0000000000, end: 0x7f0000600000, perms: "rw-p", pss: 6148 << 10}}},
		{"the top of the addresses", lines("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]"),
			[]mapping{{start: 0xffffffffff600000, end: 0xffffffffff601000, perms: "--xp", path: "[vsyscall]"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMappings(t.Context(), strings.NewReader(tt.text))
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%+v, error %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseMappingsFails(t *testing.T) {
	const head = "00400000-00404000 rw-p 00000000 00:00 0\n"
	for name, text := range map[string]string{
		"no mapping":               "Pss: 4 kB\n",
		"no colon":                 head + "Pss 4 kB\n",
		"no number":                head + "Pss: four kB\n",
		"an empty line":            head + "\n",
		"no addresses":             "rw-p 00000000 00:00 0\n",
		"an address is no number":  "00400000-0040x000 rw-p 00000000 00:00 0\n",
		"an address is too large":  "00400000-10000000000000000 rw-p 00000000 00:00 0\n",
		"permissions are missing":  "00400000-00404000 00000000 00:00 0\n",
		"the line ends in between": "00400000-00404000 rw-p 00000000\n",
	} {
		if ms, err := parseMappings(t.Context(), strings.NewReader(text)); !errors.Is(err, errSmaps) {
			t.Errorf("%s: %+v, error %v", name, ms, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := parseMappings(ctx, strings.NewReader(head)); !errors.Is(err, why) {
		t.Errorf("a context that had ended gave %v", err)
	}
}

// This process's own file, read by the parser, says what its parts do elsewhere.
func TestReadMappings(t *testing.T) {
	ms, err := readMappings(t.Context(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for i, m := range ms {
		has[m.path] = true
		if m.start >= m.end || i > 0 && m.start < ms[i-1].end {
			t.Errorf("mapping %d is from %x to %x", i, m.start, m.end)
		}
	}
	for _, path := range []string{exe, "[stack]"} {
		if !has[path] {
			t.Errorf("no mapping of %s", path)
		}
	}
}

func TestReadMappingsOfTheDead(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	info := unix.Siginfo{}
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := readMappings(t.Context(), pid); !errors.Is(err, unix.ESRCH) {
		t.Errorf("before it was waited for: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := readMappings(t.Context(), pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestKindsOfMappings(t *testing.T) {
	for path, want := range map[string]string{
		"":                           "anonymous",
		"[heap]":                     "anonymous",
		"[stack]":                    "anonymous",
		"[anon: Go: heap]":           "anonymous",
		"[anon_shmem:x]":             "anonymous",
		"/memfd:x (deleted)":         "anonymous",
		"/dev/zero (deleted)":        "anonymous",
		"/dev/shm/x":                 "anonymous",
		"/SYSV00000000 (deleted)":    "anonymous",
		"anon_inode:[io_uring]":      "anonymous",
		"[vdso]":                     "kernel",
		"[vvar_vclock]":              "kernel",
		"[vsyscall]":                 "kernel",
		"[uprobes]":                  "kernel",
		"/usr/bin/node":              "file",
		"/usr/bin/node (deleted)":    "file",
		"/usr/lib/locale/C.utf8/LC_": "file",
	} {
		m := mapping{path: path, perms: "rw-p"}
		for kind, is := range map[string]bool{"anonymous": m.anonymous(), "kernel": m.ofKernel(), "file": m.ofFile()} {
			if is != (kind == want) {
				t.Errorf("%q is %s: %t", path, kind, is)
			}
		}
	}
}

func TestOfLanguage(t *testing.T) {
	for _, tt := range []struct {
		exe, file string
		want      bool
	}{
		{"/usr/bin/python3.11", "/usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", true},
		{"/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", true},
		{"/usr/bin/python3.11", "/usr/lib/python3/dist-packages/yaml.so", true},
		{"/opt/v/bin/python3.11 (deleted)", "/opt/v/lib/python3.11/site-packages/numpy.libs/libopenblas.so", true},
		{"/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libc.so.6", false},
		{"/usr/bin/python3.11", "/srv/python/lib/data.so", false},
		{"/usr/bin/node", "/usr/lib/x86_64-linux-gnu/libnode.so.108", true},
		{"/usr/bin/node", "/usr/lib/x86_64-linux-gnu/libnodelay.so.1", false},
		{"/usr/bin/node", "/usr/lib/x86_64-linux-gnu/libuv.so.1.0.0", false},
		{"/usr/bin/node", "/home/node/libfoo.so", false},
		{"/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/perl/5.36/auto/POSIX/POSIX.so", true},
		{"/usr/bin/ruby3.1", "/usr/lib/x86_64-linux-gnu/libruby-3.1.so.3.1", true},
		{"/", "/usr/lib/libc.so.6", false},
		{"/bin/3.1", "/usr/lib/libc.so.6", false},
	} {
		if got := ofLanguage(tt.file, tt.exe); got != tt.want {
			t.Errorf("%s comes with %s: %t", tt.file, tt.exe, got)
		}
	}
}

func TestSpread(t *testing.T) {
	for name, tt := range map[string]struct {
		pss  int64
		want []int64
	}{
		"rounded down":                {12000, []int64{4096, 4976, 2928}},
		"nothing is missing":          {4096 + 4096 + 2048, []int64{4096, 4096, 2048}},
		"an odd byte":                 {4096 + 4096 + 2048 + 3, []int64{4096, 4097, 2050}},
		"the process has grown since": {1 << 20, []int64{4096, 5120, 3072}},
		"the process has shrunk":      {0, []int64{4096, 4096, 2048}},
	} {
		ms := []mapping{{pss: 4096}, {pss: 4096, shared: true}, {pss: 2048, shared: true}}
		spread(ms, tt.pss)
		if got := []int64{ms[0].pss, ms[1].pss, ms[2].pss}; !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	spread(nil, 4096)
	alone := []mapping{{pss: 4096}}
	if spread(alone, 5000); alone[0].pss != 4096 {
		t.Errorf("memory that nobody shares became %d bytes", alone[0].pss)
	}
}

func TestAreas(t *testing.T) {
	a := newArea([]runtime.Region{
		{Kind: runtime.LinearMemory, Start: 0x3000, End: 0x5000},
		{Kind: runtime.ModuleCode, Start: 0x1000, End: 0x2000},
		{Kind: runtime.LinearMemory, Start: 0x1000, End: 0x3000},
		{Kind: runtime.LinearMemory, Start: 0x8000, End: 0x9000},
		{Kind: runtime.LinearMemory, Start: 0x4000, End: 0x4800},
		{Kind: runtime.LinearMemory, Start: 0x7000, End: 0x7000},
		{Kind: runtime.LinearMemory, Path: "/no/such/../module/"},
	}, runtime.LinearMemory)
	if want := []span{{0x1000, 0x5000}, {0x8000, 0x9000}}; !slices.Equal(a.spans, want) || !slices.Equal(a.paths, []string{"/no/module"}) {
		t.Errorf("spans %x, paths %v", a.spans, a.paths)
	}
	for _, tt := range []struct {
		m    mapping
		want int64
	}{
		{mapping{start: 0x1000, end: 0x5000, pss: 1}, 1},
		{mapping{start: 0x2000, end: 0x3000, pss: 1}, 1},
		{mapping{start: 0x5000, end: 0x8000, pss: 1}, 0},
		{mapping{start: 0x9000, end: 0xa000, pss: 1}, 0},
		{mapping{start: 0, end: 0x1000, pss: 1}, 0},
		{mapping{start: 0xa000, end: 0xb000, path: "/no/module", pss: 1}, 1},
		{mapping{start: 0xa000, end: 0xb000, path: "/no/module/code (deleted)", pss: 1}, 1},
		{mapping{start: 0xa000, end: 0xb000, path: "/no/modules", pss: 1}, 0},
	} {
		if got, err := a.part(t.Context(), &tt.m, nil); err != nil || got != tt.want {
			t.Errorf("%+v: %d, error %v", tt.m, got, err)
		}
	}
}

// Of a mapping that only begins or ends in an area its resident pages count, and
// those that were only read are not resident: they are one page of zeroes.
func TestPartsOfMappings(t *testing.T) {
	page := os.Getpagesize()
	const pages = 64
	b, err := unix.Mmap(-1, 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	for i := range 32 { // of these the even ones are written, the odd ones read
		if at := &b[i*page]; i%2 == 0 {
			*at = 1
		} else if *at != 0 {
			t.Fatal("memory was not empty")
		}
	}
	pm, err := openPagemap(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer pm.Close()
	ms, err := readMappings(t.Context(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	at := func(page int) uintptr { return start + uintptr(page*os.Getpagesize()) }
	for _, tt := range []struct {
		name  string
		spans []span
		want  float64 // pages
	}{
		{"none", []span{{at(pages), at(pages + 1)}}, 0},
		{"the first", []span{{at(0), at(1)}}, 1},
		{"one that was read", []span{{at(1), at(2)}}, 0},
		{"ten", []span{{at(0), at(20)}}, 10},
		{"two by two", []span{{at(0), at(3)}, {at(4), at(7)}, {at(40), at(50)}}, 4},
		{"parts of two", []span{{at(0) + uintptr(page) - 1, at(2) + 1}}, 2},
		{"beyond both ends of what is written", []span{{at(20), at(60)}}, 6},
		{"all", []span{{at(0), at(pages)}}, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var regions []runtime.Region
			for _, s := range tt.spans {
				regions = append(regions, runtime.Region{Start: s.start, End: s.end})
			}
			a := newArea(regions, runtime.LinearMemory)
			var sum int64
			for i := range ms {
				if ms[i].end <= start || ms[i].start >= at(pages) {
					continue
				}
				part, err := a.part(t.Context(), &ms[i], pm)
				if err != nil {
					t.Fatal(err)
				}
				sum += part
			}
			if want := int64(tt.want * float64(page)); sum != want {
				t.Errorf("%d bytes, want %d", sum, want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pm.share(ctx, &mapping{start: start, end: at(pages), perms: "rw-p"}, []span{{start, at(1)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended gave %v", err)
	}
}
