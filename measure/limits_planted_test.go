package measure_test

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

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
		limit   measure.LimitName
		runtime runtime.Runtime
		plant   func(small) measure.Limits
		grows   bool // nobody but this process takes of it: some are held, and it is not exceeded
		fix     string
	}{
		{measure.LimitFreeMemory, native.New(), func(s small) measure.Limits { return measure.Limits{FreeMemory: s.available - 16<<20} }, false, "lower Limits.FreeMemory"},
		{measure.LimitFreeMemory, embedded, func(s small) measure.Limits { return measure.Limits{FreeMemory: s.available - 16<<20} }, false, "lower Limits.FreeMemory"},
		{measure.LimitMapCount, embedded, func(s small) measure.Limits { return measure.Limits{Maps: s.maps + 200} }, true, "raise Limits.Maps"},
		{measure.LimitAddressSpace, embedded, func(s small) measure.Limits { return measure.Limits{AddressSpace: s.space + 100<<30} }, true, "raise Limits.AddressSpace"},
		{measure.LimitTasks, native.New(), func(s small) measure.Limits { return measure.Limits{Tasks: s.tasks + 40} }, false, "raise Limits.Tasks"},
		{measure.LimitOpenFiles, native.New(), func(s small) measure.Limits { return measure.Limits{Files: s.files + 40} }, true, "raise Limits.Files"},
		{measure.LimitTime, native.New(), func(small) measure.Limits { return measure.Limits{Time: 50 * ms} }, false, "raise Limits.Time"},
		{measure.LimitTime, embedded, func(small) measure.Limits { return measure.Limits{Time: 50 * ms} }, false, "raise Limits.Time"},
	}
	for _, tt := range tests {
		t.Run(string(tt.limit)+"/"+tt.runtime.Name(), func(t *testing.T) {
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
					if !strings.Contains(err.Error(), string(tt.limit)) || !strings.Contains(err.Error(), tt.fix) {
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
