package measure_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// plantCgroups makes a directory that looks like the mount of a hierarchy that
// has the controllers of memory and of tasks, with these files below it.
func plantCgroups(t *testing.T, version int, files map[string]string) *mountinfo.Info {
	t.Helper()
	m := &mountinfo.Info{Mountpoint: t.TempDir(), Root: "/", FSType: "cgroup", VFSOptions: "rw,memory,pids"}
	files = maps.Clone(files)
	if version == 2 {
		m.FSType, m.VFSOptions = "cgroup2", "rw"
		if files == nil {
			files = map[string]string{}
		}
		files["cgroup.controllers"] = "cpu memory pids\n"
	}
	for name, text := range files {
		path := filepath.Join(m.Mountpoint, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestCgroupLimits(t *testing.T) {
	const memory, tasks = measure.LimitFreeMemory, measure.LimitTasks
	tests := []struct {
		name       string
		version    int
		files      map[string]string // the cgroup is a/b
		limits     measure.Limits
		want       []measure.LimitName
		have, most []int64
	}{
		{name: "no files", version: 2},
		{name: "version 2 without limits", version: 2, files: map[string]string{"a/b/memory.max": "max\n", "a/b/memory.high": "max\n", "a/b/memory.current": "5\n", "a/b/pids.max": "max\n", "a/b/pids.current": "7\n"}},
		{name: "version 1 without limits", version: 1, files: map[string]string{"a/b/memory.limit_in_bytes": "9223372036854771712\n", "a/b/memory.usage_in_bytes": "5\n", "a/b/pids.max": "max\n"}},
		{
			name: "version 2", version: 2,
			files: map[string]string{"a/b/memory.max": "10737418240\n", "a/b/memory.current": "1073741824\n", "a/b/memory.stat": "anon 1\nactive_file 5\ninactive_file 1048576\n", "a/b/pids.max": "16000\n", "a/b/pids.current": "12\n"},
			want:  []measure.LimitName{memory, tasks}, have: []int64{9*1024*mib + mib, 12}, most: []int64{640 * mib, 16000 - 512},
		}, {
			name: "version 2, slowed down before its end", version: 2,
			files: map[string]string{"a/b/memory.max": "10737418240\n", "a/b/memory.high": "268435456\n", "a/b/memory.current": "104857600\n", "a/b/memory.stat": "inactive_file 0\n"},
			want:  []measure.LimitName{memory}, have: []int64{156 * mib}, most: []int64{128 * mib},
		}, {
			name: "version 2, slowed down alone", version: 2,
			files: map[string]string{"a/b/memory.max": "max\n", "a/b/memory.high": "268435456\n", "a/b/memory.current": "104857600\n", "a/b/memory.stat": "inactive_file 0\n"},
			want:  []measure.LimitName{memory}, have: []int64{156 * mib}, most: []int64{128 * mib},
		}, {
			name: "version 1, small", version: 1,
			files: map[string]string{"a/b/memory.limit_in_bytes": "268435456\n", "a/b/memory.usage_in_bytes": "104857600\n", "a/b/memory.stat": "inactive_file 77\ntotal_inactive_file 1048576\n"},
			want:  []measure.LimitName{memory}, have: []int64{157 * mib}, most: []int64{128 * mib},
		}, {
			name: "a floor of one's own", version: 2,
			files:  map[string]string{"a/b/memory.max": "268435456\n", "a/b/memory.current": "104857600\n", "a/b/memory.stat": "inactive_file 0\n"},
			limits: measure.Limits{FreeMemory: 5 * mib},
			want:   []measure.LimitName{memory}, have: []int64{156 * mib}, most: []int64{5 * mib},
		}, {
			name: "those above, not those beside", version: 2,
			files: map[string]string{
				"pids.max": "1600\n", "pids.current": "9\n", "a/pids.max": "160\n", "a/pids.current": "8\n", "a/b/pids.max": "max\n", "a/b/pids.current": "5\n",
				"a/c/pids.max": "16\n", "a/c/pids.current": "3\n", "a/b/d/pids.max": "16\n", "a/b/d/pids.current": "3\n",
			},
			want: []measure.LimitName{tasks, tasks}, have: []int64{8, 9}, most: []int64{150, 1500},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := plantCgroups(t, tt.version, tt.files)
			have, most, limits, err := measure.CgroupLimits([]*mountinfo.Info{m}, "/a/b", tt.limits)
			if err != nil || !slices.Equal(limits, tt.want) || !slices.Equal(have, tt.have) || !slices.Equal(most, tt.most) {
				t.Errorf("limits %v: there is %v of %v, error %v; want %v: %v of %v", limits, have, most, err, tt.want, tt.have, tt.most)
			}
		})
	}
	for _, broken := range []map[string]string{{"memory.max": "many\n"}, {"memory.high": "\n"}, {"pids.max": ""}, {"memory.max": "1048576\n"}, {"memory.max": "1048576\n", "memory.current": "4096\n", "memory.stat": "anon 1\n"}} {
		m := plantCgroups(t, 2, broken)
		if _, _, _, err := measure.CgroupLimits([]*mountinfo.Info{m}, "/", measure.Limits{}); err == nil || !strings.Contains(err.Error(), m.Mountpoint) {
			t.Errorf("%v: error %v does not say where", broken, err)
		}
	}
}

// The cgroups above the instances' are watched wherever this process is; that of
// one instance alone is not.
func TestPopulationWatchesItsCgroups(t *testing.T) {
	dir, path := newCgroup(t)
	limitMemory(t, dir)
	above := "free-memory of cgroup " + dir
	for name, tt := range map[string]struct {
		cgroup func(int) string
		held   int
		want   bool
	}{
		"above each":         {func(k int) string { return path + "/" + strconv.Itoa(k) }, 1, true},
		"that of one":        {func(int) string { return path }, 1, false},
		"that of both":       {func(int) string { return path }, 2, true},
		"that of the second": {func(k int) string { return path + strings.Repeat("-x", 1-k) }, 2, false},
		"none":               {func(int) string { return "" }, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &crowd{scope: func(k int) runtime.Scope { return runtime.Scope{Own: []int{1000000 + k}, Cgroup: tt.cgroup(k)} }}
			p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
			defer p.Close()
			if err := p.Grow(t.Context(), tt.held); err != nil {
				t.Fatal(err)
			}
			if watched := measure.Watched(p); slices.Contains(watched, above) != tt.want {
				t.Errorf("%s: watched are %q; is %q to be?  %v", name, watched, above, tt.want)
			}
		})
	}
}

// limitMemory gives a cgroup 128 MiB.
func limitMemory(t *testing.T, dir string) {
	t.Helper()
	limit := filepath.Join(dir, "memory.max")
	if _, err := os.Stat(limit); err != nil {
		limit = filepath.Join(dir, "memory.limit_in_bytes")
	}
	if err := os.WriteFile(limit, []byte(strconv.Itoa(128*mib)), 0); err != nil {
		t.Fatal(err)
	}
}

// cgroupEnv makes TestGrowInCgroup of a re-executed test binary the process in
// the cgroup whose directory it names.
const cgroupEnv = "WASMBENCH_LIMITS_CGROUP"

// In a cgroup whose memory is less than the host's growing ends before the
// kernel ends somebody.
func TestGrowInCgroup(t *testing.T) {
	if dir := os.Getenv(cgroupEnv); dir != "" {
		growIn(t, dir)
		return
	}
	dir, _ := newCgroup(t)
	limitMemory(t, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestGrowInCgroup$", "-test.v")
	cmd.Env = append(os.Environ(), cgroupEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%s", out)
	for _, events := range []string{"memory.events", "memory.oom_control"} {
		if b, err := os.ReadFile(filepath.Join(dir, events)); err == nil && !strings.Contains(string(b), "oom_kill 0\n") {
			t.Errorf("somebody was killed: %s", b)
		}
	}
}

func growIn(t *testing.T, dir string) {
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	w := workload.Hello(workload.C)
	img, err := native.New().Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{})
	defer p.Close()
	err = p.Grow(t.Context(), 10000)
	reached, ok := err.(*measure.LimitReached)
	if !ok || reached.Limit != measure.LimitFreeMemory || reached.Where != "cgroup "+dir || reached.Held < 10 || reached.Most != 64*mib {
		t.Fatalf("error %#v", err)
	}
	t.Log(err)
	if err := p.Check(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
