package measure_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// newCgroup makes a cgroup with the memory controller, which ends with the test,
// and returns its directory and its path below the mount.
func newCgroup(t *testing.T) (dir, path string) {
	t.Helper()
	mount, version, err := measure.CgroupMount()
	if err != nil {
		t.Skip(err)
	}
	const parent = "/wasmbench"
	if stale, err := filepath.Glob(filepath.Join(mount, parent, "measure-test-*")); err == nil {
		for _, s := range stale {
			unix.Rmdir(s) // does nothing to one that a process is in
		}
	}
	path = parent + "/measure-test-" + strconv.Itoa(os.Getpid())
	dir = filepath.Join(mount, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Skip(&runtime.Unavailable{What: "a cgroup", Why: "it cannot be made", Fix: "run as root, with the cgroup file systems mounted writable", Err: err})
	}
	t.Cleanup(func() {
		// The kernel calls it busy until the last process is quite gone.
		err := unix.Rmdir(dir)
		for end := time.Now().Add(10 * time.Second); err == unix.EBUSY && time.Now().Before(end); err = unix.Rmdir(dir) {
			time.Sleep(time.Millisecond)
		}
		if err != nil {
			t.Errorf("removing cgroup %s: %v", dir, err)
		}
		unix.Rmdir(filepath.Join(mount, parent)) // where no other is in it
	})
	if version == 2 {
		if err := os.WriteFile(filepath.Join(mount, parent, "cgroup.subtree_control"), []byte("+memory"), 0); err != nil {
			t.Skip(&runtime.Unavailable{What: "a cgroup", Why: "it does not get the memory controller", Fix: "write +memory to cgroup.subtree_control of " + mount, Err: err})
		}
	}
	return dir, path
}

// fileCache returns how many bytes of files are charged to a cgroup,
// which the kernel calls file, or cache in the first version.
func fileCache(t *testing.T, dir string) int64 {
	t.Helper()
	stat, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(stat)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "file" && name != "cache" {
			continue
		}
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatalf("memory.stat of %s tells of no files", dir)
	return 0
}

func TestCgroupMemory(t *testing.T) {
	dir, path := newCgroup(t)
	c := newChild(t)
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(c.pid)), 0); err != nil {
		t.Fatal(err)
	}
	// What the child reads of its own executable is charged to it as well, and
	// it reads it again whenever another test has the page cache dropped. That is
	// not what it was told to allocate, so it is taken from usage and peak.
	var cachedMost int64
	read := func() measure.CgroupUsage {
		t.Helper()
		u := readUsage(t, measure.CgroupMemory, runtime.Scope{Own: []int{c.pid}, Cgroup: path})
		if c := u.Cgroup; c.Kernel > c.Usage || c.Usage > c.Peak && c.Peak != 0 {
			t.Errorf("%+v: the parts are larger than the whole", u.Cgroup)
		}
		if u.Own != (measure.Footprint{}) {
			t.Errorf("%+v of a meter of cgroups", u.Own)
		}
		cached := fileCache(t, dir)
		cachedMost = max(cachedMost, cached)
		u.Cgroup.Usage -= cached
		if u.Cgroup.Peak != 0 {
			u.Cgroup.Peak -= cachedMost
		}
		return u.Cgroup
	}
	before := read()
	c.tell(t, "allocate", 64*mib)
	after := read()
	roseBy(t, "usage", before.Usage, after.Usage, 64*mib)
	roseBy(t, "kernel", before.Kernel, after.Kernel, 0)
	if after.Peak != 0 {
		roseBy(t, "peak", before.Usage, after.Peak, 64*mib)
	}

	c.tell(t, "free", 1)
	freed := read()
	roseBy(t, "usage after freeing", before.Usage, freed.Usage, 0)
	roseBy(t, "peak after freeing", after.Peak, freed.Peak, 0)

	c.tell(t, "scatter", 16384)
	scattered := read()
	roseBy(t, "kernel of 16384 page tables", freed.Kernel, scattered.Kernel, 64*mib)
	roseBy(t, "usage of 16384 page tables", freed.Usage, scattered.Usage, 64*mib)
}

func TestCgroupMemoryOfNone(t *testing.T) {
	if _, _, err := measure.CgroupMount(); err != nil {
		t.Skip(err)
	}
	if u := readUsage(t, measure.CgroupMemory, runtime.Scope{Own: []int{os.Getpid()}}); u != (measure.Usage{}) {
		t.Errorf("a scope without a cgroup: %+v", u)
	}
	gone := runtime.Scope{Cgroup: "/wasmbench/gone"}
	if u, err := measure.CgroupMemory.Read(t.Context(), gone); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone.Cgroup) || u != (measure.Usage{}) {
		t.Errorf("a cgroup that is not there: %+v, %v", u, err)
	}
}

// Kernels of either version and of several ages, in directories that look like
// theirs.
func TestCgroupMemoryFiles(t *testing.T) {
	type files map[string]string
	for name, test := range map[string]struct {
		version int
		files   files
		want    measure.CgroupUsage
		err     error
	}{
		"version 1":              {1, files{"memory.usage_in_bytes": "4096\n", "memory.max_usage_in_bytes": "8192\n", "memory.kmem.usage_in_bytes": "1024\n"}, measure.CgroupUsage{Usage: 4096, Peak: 8192, Kernel: 1024}, nil},
		"version 1 without kmem": {1, files{"memory.usage_in_bytes": "4096\n", "memory.max_usage_in_bytes": "8192\n"}, measure.CgroupUsage{Usage: 4096, Peak: 8192}, nil},
		"version 2": {2, files{"memory.current": "4096\n", "memory.peak": "8192\n", "memory.stat": "anon 7\nfile 8\nkernel 1024\nkernel_stack 16\npagetables 32\nslab 64\n"},
			measure.CgroupUsage{Usage: 4096, Peak: 8192, Kernel: 1024}, nil},
		"version 2 before Linux 5.18": {2, files{"memory.current": "4096\n", "memory.stat": "anon 7\nkernel_stack 16\npagetables 32\npercpu 128\nslab_reclaimable 5\nslab 64\n"},
			measure.CgroupUsage{Usage: 4096, Kernel: 240}, nil},
		"version 2 without the controller": {2, files{"cgroup.procs": ""}, measure.CgroupUsage{}, fs.ErrNotExist},
		"removed between two files":        {2, files{"memory.stat": "kernel 1024\n"}, measure.CgroupUsage{}, fs.ErrNotExist},
		"files of the other version":       {1, files{"memory.current": "4096\n"}, measure.CgroupUsage{}, fs.ErrNotExist},
		"no number":                        {2, files{"memory.current": "max\n"}, measure.CgroupUsage{}, strconv.ErrSyntax},
		"no number in the kernel's part":   {2, files{"memory.current": "4096\n", "memory.stat": "slab many\n"}, measure.CgroupUsage{}, strconv.ErrSyntax},
		"a number too large":               {1, files{"memory.usage_in_bytes": "18446744073709551615\n"}, measure.CgroupUsage{}, strconv.ErrRange},
	} {
		t.Run(name, func(t *testing.T) {
			mount := t.TempDir()
			dir := filepath.Join(mount, "wasmbench", "one")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, path := range []string{"/wasmbench/one", "wasmbench/one", "../../wasmbench/one"} {
				u, err := measure.ReadCgroup(mount, test.version, path)
				if u != test.want || !errors.Is(err, test.err) {
					t.Errorf("%s: %+v, error %v; want %+v, error %v", path, u, err, test.want, test.err)
				}
			}
		})
	}
}

// It is where the controller is that tells, not what else is mounted.
func TestCgroupMount(t *testing.T) {
	unified := func(controllers string) *mountinfo.Info {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(controllers), 0o644); err != nil {
			t.Fatal(err)
		}
		return &mountinfo.Info{Mountpoint: dir, FSType: "cgroup2", VFSOptions: "rw,nsdelegate"}
	}
	legacy := func(controllers string) *mountinfo.Info {
		return &mountinfo.Info{Mountpoint: "/sys/fs/cgroup/" + controllers, FSType: "cgroup", VFSOptions: "rw," + controllers}
	}
	part := func(m *mountinfo.Info, at, root string) *mountinfo.Info {
		p := *m
		p.Mountpoint, p.Root = at, root
		return &p
	}
	empty, cpu, all := unified("\n"), unified("cpu pids\n"), unified("cpuset cpu io memory pids\n")
	for name, test := range map[string]struct {
		mounts  []*mountinfo.Info
		want    string
		version int
	}{
		"version 1":             {[]*mountinfo.Info{legacy("cpu,cpuacct"), legacy("memory")}, "/sys/fs/cgroup/memory", 1},
		"with others":           {[]*mountinfo.Info{legacy("cpuset,memory")}, "/sys/fs/cgroup/cpuset,memory", 1},
		"hybrid":                {[]*mountinfo.Info{empty, legacy("cpu"), legacy("memory")}, "/sys/fs/cgroup/memory", 1},
		"hybrid, version 2 has": {[]*mountinfo.Info{legacy("cpu"), all}, all.Mountpoint, 2},
		"version 2":             {[]*mountinfo.Info{all}, all.Mountpoint, 2},
		"a container's before":  {[]*mountinfo.Info{part(legacy("memory"), "/c", "/containers/one"), part(legacy("memory"), "/all", "/")}, "/all", 1},
		"a container's behind":  {[]*mountinfo.Info{part(legacy("memory"), "/all", "/"), part(legacy("memory"), "/c", "/containers/one")}, "/all", 1},
		"a container's alone":   {[]*mountinfo.Info{part(legacy("memory"), "/c", "/containers/one")}, "/c", 1},
		"disabled":              {[]*mountinfo.Info{cpu, legacy("cpu")}, "", 0},
		"none":                  {nil, "", 0},
	} {
		mount, version, err := measure.CgroupMountOf(test.mounts)
		if mount != test.want || version != test.version {
			t.Errorf("%s: version %d at %q, want version %d at %q", name, version, mount, test.version, test.want)
		}
		var u *runtime.Unavailable
		if absent := test.version == 0; absent != errors.As(err, &u) || absent && u.Fix == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// A mount may show a hierarchy from a container's cgroup on.
func TestCgroupDirs(t *testing.T) {
	for _, tt := range []struct {
		mount, root, cgroup string
		want                []string
	}{
		{"/m", "/", "/", []string{"/m"}},
		{"/m", "/", "/a/b", []string{"/m/a/b", "/m/a", "/m"}},
		{"/m", "/", "a/../../b", []string{"/m/b", "/m"}},
		{"/m", "/c/one", "/c/one", []string{"/m"}},
		{"/m", "/c/one", "/c/one/a/b", []string{"/m/a/b", "/m/a", "/m"}},
		{"/m", "/c/one", "/a", []string{"/m/a", "/m"}}, // below the mount
		{"/m", "/c/one", "/c/oneself", []string{"/m/c/oneself", "/m/c", "/m"}},
	} {
		if got := measure.CgroupDirs(tt.mount, tt.root, tt.cgroup); !slices.Equal(got, tt.want) {
			t.Errorf("%s, where %s is mounted at %s: %q, want %q", tt.cgroup, tt.root, tt.mount, got, tt.want)
		}
	}
}
