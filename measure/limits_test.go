package measure_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A resource is what instances of a planted size take.
type resource struct {
	left, first, each int64
	noise             int64 // by which a reading may be off
}

// Growing ends where one more would not fit: nothing is ever taken that is not
// there, not much is left, and the gauge is read seldom.
func TestGaugePredicts(t *testing.T) {
	tests := []struct {
		name  string
		of    resource
		reads int
	}{
		{"one each", resource{left: 30000, first: 1, each: 1}, 60},
		{"three each", resource{left: 65000, first: 300, each: 3}, 60},
		{"large ones", resource{left: 20 << 30, first: 3 << 30, each: 3 << 30}, 10},
		{"a first that brings much", resource{left: 1 << 30, first: 400 << 20, each: 100 << 10}, 60},
		{"a first that brings nothing", resource{left: 1 << 30, first: 0, each: 10 << 20}, 40},
		{"readings that are off", resource{left: 20 << 30, first: 1 << 20, each: 5 << 20, noise: 20 << 20}, 60},
		{"nothing fits", resource{left: 0, first: 5, each: 5}, 1},
		{"one fits", resource{left: 5, first: 5, each: 5}, 2},
	}
	for _, tt := range tests {
		for _, floor := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", a floor: ", floor), func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, 2))
				left, reads := tt.of.left, 0
				const most = 1000
				step := measure.Stepper(measure.NewGauge(floor, most, func() (int64, error) {
					reads++
					seen := left
					if tt.of.noise > 0 {
						seen += r.Int64N(2*tt.of.noise) - tt.of.noise
					}
					if floor {
						return most + seen, nil
					}
					return most - seen, nil
				}))
				held := 0
				var err error
				for {
					var n int
					if n, err = step(held); err != nil {
						break
					}
					for range n {
						if left -= tt.of.each; held == 0 {
							left += tt.of.each - tt.of.first
						}
						held++
					}
					if left < 0 {
						t.Fatalf("%d more than there was are taken by %d, after a step of %d", -left, held, n)
					}
				}
				var reached *measure.LimitReached
				if !errors.As(err, &reached) {
					t.Fatalf("error %v", err)
				}
				if left >= 2*tt.of.each+tt.of.noise && tt.of.each > 0 {
					t.Errorf("%d are left, and another takes %d", left, tt.of.each)
				}
				if reads > tt.reads {
					t.Errorf("%d readings for %d instances", reads, held)
				}
				t.Logf("%d held, %d left, %d readings", held, left, reads)
			})
		}
	}
}

func TestGaugeThatCannotBeRead(t *testing.T) {
	why := errors.New("unreadable")
	step := measure.Stepper(measure.NewGauge(false, 10, func() (int64, error) { return 0, why }))
	if _, err := step(0); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestCgroupLimits(t *testing.T) {
	tests := []struct {
		name       string
		files      map[string]string
		limits     measure.Limits
		want       []string
		have, most []int64
	}{
		{name: "no controller"},
		{name: "version 2 without limits", files: map[string]string{"memory.max": "max\n", "memory.current": "5\n", "pids.max": "max\n", "pids.current": "7\n"}},
		{name: "version 1 without limits", files: map[string]string{"memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": "5\n"}},
		{
			name:  "version 2",
			files: map[string]string{"memory.max": "10737418240\n", "memory.current": "1073741824\n", "memory.stat": "anon 1\nactive_file 5\ninactive_file 1048576\n", "pids.max": "16000\n", "pids.current": "12\n"},
			want:  []string{"free-memory", "tasks"}, have: []int64{9*1024*mib + mib, 12}, most: []int64{640 * mib, 16000 - 512},
		}, {
			name:  "version 1, small",
			files: map[string]string{"memory.limit_in_bytes": "268435456\n", "memory.usage_in_bytes": "104857600\n", "memory.stat": "inactive_file 77\ntotal_inactive_file 1048576\n"},
			want:  []string{"free-memory"}, have: []int64{157 * mib}, most: []int64{128 * mib},
		}, {
			name:   "a floor of one's own",
			files:  map[string]string{"memory.max": "268435456\n", "memory.current": "104857600\n", "memory.stat": "inactive_file 0\n"},
			limits: measure.Limits{FreeMemory: 5 * mib},
			want:   []string{"free-memory"}, have: []int64{156 * mib}, most: []int64{5 * mib},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			have, most, limits, err := measure.CgroupLimits(dir, tt.limits)
			if err != nil || !slices.Equal(limits, tt.want) || !slices.Equal(have, tt.have) || !slices.Equal(most, tt.most) {
				t.Errorf("limits %v: there is %v of %v, error %v; want %v: %v of %v", limits, have, most, err, tt.want, tt.have, tt.most)
			}
		})
	}
	for _, broken := range []map[string]string{{"memory.max": "many\n"}, {"pids.max": ""}, {"memory.max": "1048576\n"}, {"memory.max": "1048576\n", "memory.current": "4096\n", "memory.stat": "anon 1\n"}} {
		dir := t.TempDir()
		for name, text := range broken {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, _, err := measure.CgroupLimits(dir, measure.Limits{}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v: error %v does not say where", broken, err)
		}
	}
}

// Instances that take more than those before them did end the growth between two
// checks: the next would come at 256.
func TestMemoryIsWatchedBetweenChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const small, room = 130, 20
		c := &crowd{takes: always(10 * ms)}
		p := measure.NewPopulation(c, c, measure.PopulationOptions{Parallel: 1})
		measure.PlantMemory(p, func() int64 { return int64(room - max(0, c.begun-small)) })
		err := p.Grow(t.Context(), 1000)
		reached, ok := err.(*measure.LimitReached)
		if !ok || reached.Limit != "free-memory" || reached.Held != p.Len() {
			t.Fatalf("error %#v", err)
		}
		// A look every 100 ms is one every ten starts.
		if reached.Held < small+room || reached.Held > small+room+10 {
			t.Errorf("%d are held where memory was used up by %d", reached.Held, small+room)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live, error %v", c.live, err)
		}
	})
}

// What has become of memory since the last Grow is known to the next.
func TestGrowChecksAnew(t *testing.T) {
	left := int64(1000)
	c := &crowd{}
	p := measure.NewPopulation(c, c, measure.PopulationOptions{})
	defer p.Close()
	measure.PlantMemory(p, func() int64 { return left })
	if err := p.Grow(t.Context(), 9); err != nil {
		t.Fatal(err)
	}
	left = 0
	if err := p.Grow(t.Context(), 10); !errors.As(err, new(*measure.LimitReached)) || c.begun != 9 {
		t.Errorf("error %v, %d were begun", err, c.begun)
	}
}

func TestTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{takes: always(10 * ms)}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1, Limits: measure.Limits{Time: 35 * ms}}))
		if err := p.Grow(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		err := p.Grow(t.Context(), 100)
		reached, ok := err.(*measure.LimitReached)
		if !ok || *reached != (measure.LimitReached{Limit: "time", Have: int64(40 * ms), Most: int64(35 * ms), Held: 4, Fix: reached.Fix}) {
			t.Errorf("error %#v", err)
		}
		if says := "40ms of at most 35ms"; !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live, error %v", c.live, err)
		}
	})
}

// small are figures of this host as they are, from which limits are planted.
type small struct {
	available    int64 // bytes of memory
	tasks, files int
	maps         int   // of the process of an embedding
	space        int64 // that process's addresses, in bytes
}

// Each limit, planted just beyond what is taken now, ends the growth of real
// instances by its name, and all are released afterwards.
func TestPlantedLimits(t *testing.T) {
	embedded := wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go})
	tests := []struct {
		limit   string
		runtime runtime.Runtime
		plant   func(small) measure.Limits
		grows   bool // nobody but this process takes of it: some are held, and it is not exceeded
		fix     string
	}{
		{"free-memory", native.New(), func(s small) measure.Limits { return measure.Limits{FreeMemory: s.available - 16<<20} }, false, "lower Limits.FreeMemory"},
		{"free-memory", embedded, func(s small) measure.Limits { return measure.Limits{FreeMemory: s.available - 16<<20} }, false, "lower Limits.FreeMemory"},
		{"map-count", embedded, func(s small) measure.Limits { return measure.Limits{Maps: s.maps + 200} }, true, "raise Limits.Maps"},
		{"address-space", embedded, func(s small) measure.Limits { return measure.Limits{AddressSpace: s.space + 100<<30} }, true, "raise Limits.AddressSpace"},
		{"tasks", native.New(), func(s small) measure.Limits { return measure.Limits{Tasks: s.tasks + 40} }, false, "raise Limits.Tasks"},
		{"open-files", native.New(), func(s small) measure.Limits { return measure.Limits{Files: s.files + 40} }, true, "raise Limits.Files"},
		{"time", native.New(), func(small) measure.Limits { return measure.Limits{Time: 50 * ms} }, false, "raise Limits.Time"},
		{"time", embedded, func(small) measure.Limits { return measure.Limits{Time: 50 * ms} }, false, "raise Limits.Time"},
	}
	for _, tt := range tests {
		t.Run(tt.limit+"/"+tt.runtime.Name(), func(t *testing.T) {
			w := workload.Hello(workload.C)
			img, err := tt.runtime.Prepare(t.Context(), w)
			if errors.As(err, new(*runtime.Unavailable)) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			holds(t, img, w)
			if err := img.Close(); err != nil {
				t.Fatal(err)
			}
			// What waits for all processes of this one has come to stay by now.
			goroutines := goruntime.NumGoroutine()
			if img, err = tt.runtime.Prepare(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			// What else the host does may move the figure away from the limit
			// before it is reached: then it is planted again.
			for range 5 {
				var pids []int
				pids, err = plantedLimit(t, img, w, tt.plant, tt.grows)
				if err != nil {
					var reached *measure.LimitReached
					if !errors.As(err, &reached) || reached.Limit != tt.limit || reached.Most == 0 {
						t.Errorf("error %#v", err)
					}
					if !strings.Contains(err.Error(), tt.limit) || !strings.Contains(err.Error(), tt.fix) {
						t.Errorf("%q does not name the limit %s and say %q", err, tt.limit, tt.fix)
					}
					t.Log(err)
				}
				if tt.runtime.Name() == "native" {
					gone(t, pids)
				}
				if err != nil {
					break
				}
			}
			if err == nil {
				t.Error("no limit was reached")
			}
			pids := holds(t, img, w)
			if err := img.Close(); err != nil {
				t.Error(err)
			}
			gone(t, pids)
			for end := time.Now().Add(10 * time.Second); goruntime.NumGoroutine() > goroutines; time.Sleep(ms) {
				if time.Now().After(end) {
					stacks := make([]byte, 64<<10)
					t.Fatalf("%d goroutines where there were %d: %s", goruntime.NumGoroutine(), goroutines, stacks[:goruntime.Stack(stacks, true)])
				}
			}
		})
	}
}

// plantedLimit grows a population until its limit, checks it, closes it and
// returns the processes that there were and how growing ended.
func plantedLimit(t *testing.T, img runtime.Image, w workload.Workload, plant func(small) measure.Limits, grows bool) (pids []int, limit error) {
	t.Helper()
	limits := plant(today(t, img, w))
	p := measure.NewPopulation(img, w, measure.PopulationOptions{Limits: limits})
	// More than any of the limits has room for.
	limit = p.Grow(t.Context(), 3000)
	if grows && (p.Len() < 2 || p.Len() > 150) {
		t.Errorf("%d are held", p.Len())
	}
	var reached *measure.LimitReached
	if errors.As(limit, &reached) {
		if reached.Held != p.Len() {
			t.Errorf("%d are held and %d are said to be", p.Len(), reached.Held)
		}
		if grows && (reached.Have > reached.Most || reached.Have+reached.Next <= reached.Most) {
			t.Errorf("%d of %d are taken, and another takes %d", reached.Have, reached.Most, reached.Next)
		}
	}
	if err := p.Check(t.Context(), 0); err != nil {
		t.Errorf("what is held does not answer: %v", err)
	}
	pids = p.Scope().Own
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	return pids, limit
}

// today reads the host and the process of an instance of img. Three instances
// are there first: what a process allocates once is not another instance's.
func today(t *testing.T, img runtime.Image, w workload.Workload) (s small) {
	t.Helper()
	pid := holds(t, img, w)[0]
	host, err := measure.ReadHostMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.available = host.Available
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	var running int
	var averages [3]float64
	if _, err := fmt.Sscanf(string(load), "%f %f %f %d/%d", &averages[0], &averages[1], &averages[2], &running, &s.tasks); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s.files = len(open)
	p, err := procfs.NewProc(pid)
	if err != nil {
		return s // a process for each instance, which has ended
	}
	maps, err := p.ProcMaps()
	if err != nil {
		t.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s.maps, s.space = len(maps), int64(stat.VirtualMemory())
	return s
}

// holds starts three instances, closes them and returns their processes.
func holds(t *testing.T, img runtime.Image, w workload.Workload) []int {
	t.Helper()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{})
	if err := p.Grow(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	pids := p.Scope().Own
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return pids
}

func gone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
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
	limit := filepath.Join(dir, "memory.max")
	if _, err := os.Stat(limit); err != nil {
		limit = filepath.Join(dir, "memory.limit_in_bytes")
	}
	if err := os.WriteFile(limit, []byte(strconv.Itoa(128*mib)), 0); err != nil {
		t.Fatal(err)
	}
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
	if !ok || reached.Limit != "free-memory" || reached.Where != "cgroup "+dir || reached.Held < 10 || reached.Most != 64*mib {
		t.Fatalf("error %#v", err)
	}
	t.Log(err)
	if err := p.Check(t.Context(), 0); err != nil {
		t.Error(err)
	}
}

// A process that instances share and that has died is named rather than taken
// for one that has room.
func TestGrowAfterTheHostHasDied(t *testing.T) {
	w := workload.Hello(workload.C)
	img, err := wasmtime.Embedded(wasmtime.EmbeddedOptions{}).Prepare(t.Context(), w)
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	p := measure.NewPopulation(img, w, measure.PopulationOptions{})
	if err := p.Grow(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	pid := p.Scope().Own[0]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "10 of these failed") {
		t.Errorf("a check of the dead gave %v", err)
	}
	if err := p.Grow(t.Context(), 20); err == nil || !strings.Contains(err.Error(), "holding 10 of 20") || errors.As(err, new(*measure.LimitReached)) {
		t.Errorf("growing gave %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
