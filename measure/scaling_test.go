package measure_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// scaledGuest prepares processes whose memory is known: each holds 16 MiB of
// numbers.
func scaledGuest(t *testing.T) (runtime.Image, workload.Workload) {
	t.Helper()
	w := workload.DataProcessor(workload.Go)
	img, err := native.New().Prepare(t.Context(), w)
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img, w
}

func newScaling(t *testing.T, limits measure.Limits) (*measure.Scaling, *measure.Population) {
	t.Helper()
	img, w := scaledGuest(t)
	p := measure.NewPopulation(img, w, measure.PopulationOptions{Limits: limits})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := measure.NewScaling(t.Context(), p, measure.HoldOptions{Settle: measure.SettleOptions{Window: 100 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestScaling(t *testing.T) {
	s, p := newScaling(t, measure.Limits{})
	if before := s.Before(); before.Total <= 0 || s.Rate() != 0 {
		t.Errorf("before the first instance the host is %+v, the rate %v", before, s.Rate())
	}
	var started int
	var grew time.Duration
	for i, n := range []int{2, 5, 8, 8} {
		h, err := s.Measure(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if h.Instances != n || h.Started != []int{2, 3, 3, 0}[i] || h.Grew <= 0 {
			t.Errorf("%d instances, %d of them started in %v, want %d", h.Instances, h.Started, h.Grew, n)
		}
		if least := int64(n) * 16 << 20; h.Usage.Own.PSS < least || h.Total() < h.Usage.Own.PSS {
			t.Errorf("%d instances take %d bytes and %d in all, want %d at least", n, h.Usage.Own.PSS, h.Total(), least)
		}
		started, grew = started+h.Started, grew+h.Grew
		if rate := float64(started) / grew.Seconds(); !near(s.Rate(), rate) {
			t.Errorf("the rate is %v, that of all starts so far is %v", s.Rate(), rate)
		}
		// The last was read again with as many instances.
		if line, err := s.Fit(); (err == nil) != (i >= 2) || err == nil && line.Points != 3 {
			t.Errorf("a line after %d readings: %d points, error %v", i+1, line.Points, err)
		}
	}
	if started != p.Len() {
		t.Errorf("%d were started, %d are held", started, p.Len())
	}
}

// The kernel's part is the whole host's: what else it does meanwhile may move it.
func TestScalingSlope(t *testing.T) {
	steadily(t, func() error {
		s, p := newScaling(t, measure.Limits{})
		defer p.Close()
		for _, n := range []int{2, 5, 8} {
			if _, err := s.Measure(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		line, err := s.Fit()
		if err != nil {
			t.Fatal(err)
		}
		if line.Slope < 16<<20 || line.Slope > 24<<20 {
			return fmt.Errorf("another instance takes %.0f bytes, want 16 MiB and a process", line.Slope)
		}
		return nil
	})
}

// steadily fails the test if what is read of the whole host, on which others work
// too, is wrong every time.
func steadily(t *testing.T, read func() error) {
	t.Helper()
	var err error
	for range 5 {
		if err = read(); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
}

// A line is laid through what was read: a kernel that has given back more than it
// has taken bends it no less than one that has taken.
func TestScalingFitsWhatWasRead(t *testing.T) {
	const floor = 100
	for name, kernel := range map[string][]int64{"below the floor": {10, 20, 30}, "about it": {90, 100, 110}, "below 0": {-30, -20, -10}, "about 0": {-10, 0, 10}} {
		s := measure.PlantHoldings(floor, kernel)
		line, err := s.Fit()
		if err != nil {
			t.Fatal(err)
		}
		// 1000 bytes of each process, 7 of them swapped out, and 10 of the kernel.
		if !near(line.Slope, 1010) || !near(line.SlopeHigh, 1010) || !near(line.Intercept, float64(kernel[0]-10)) {
			t.Errorf("%s: %+v", name, line)
		}
	}
}

func TestHoldingTotal(t *testing.T) {
	h := measure.Holding{Floor: 100, Usage: measure.Usage{Own: measure.Footprint{PSS: 4000, Swap: 500}, Shared: measure.Footprint{PSS: 300, Swap: 20}}, Settled: measure.Settled{OK: true}}
	for kernel, counts := range map[int64]bool{-5000: false, 0: false, 99: false, 100: false, 101: true, 5000: true} {
		h.Kernel = kernel
		want := map[string]float64{"pss-B": 4000, "total-B": 4820, "swap-B": 520, "settle-ns": 0}
		if counts {
			want["kernel-B"] = float64(kernel)
			want["total-B"] += float64(kernel)
		}
		got := map[string]float64{}
		for _, m := range h.Metrics() {
			got[m.Unit] = m.Value
		}
		if !maps.Equal(got, want) {
			t.Errorf("with %d bytes of the kernel: %v, want %v", kernel, got, want)
		}
	}
}

// Instances that have no process are not instances that take nothing.
func TestHoldOfNobody(t *testing.T) {
	for _, scope := range []runtime.Scope{{}, {Shared: []int{os.Getpid()}, Cgroup: "/"}} {
		if h, err := measure.Hold(t.Context(), 3, scope, measure.HostMemory{}, measure.HoldOptions{}); err == nil || h != (measure.Holding{}) {
			t.Errorf("%+v: %+v, error %v", scope, h, err)
		}
	}
}

// A reading that fails after a limit is a failure.
func TestScalingFailsAtALimit(t *testing.T) {
	c := &crowd{fails: by(map[int]error{1: &runtime.Exhausted{What: "seats"}})} // whose processes are none of this host's
	p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
	defer p.Close()
	s, err := measure.NewScaling(t.Context(), p, measure.HoldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Measure(t.Context(), 3)
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*measure.LimitReached)) || !strings.Contains(err.Error(), "limit runtime") {
		t.Errorf("error %v", err)
	}
}

// What is held when a limit ends the growth is read all the same.
func TestScalingMeetsALimit(t *testing.T) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s, p := newScaling(t, measure.Limits{Files: len(open) + 40})
	h, err := s.Measure(t.Context(), 1000)
	var limit *measure.LimitReached
	if !errors.As(err, &limit) || limit.Limit != measure.LimitOpenFiles {
		t.Fatalf("error %v, want the limit open-files", err)
	}
	if h.Instances == 0 || h.Instances != p.Len() || h.Usage.Own.PSS < int64(h.Instances)*16<<20 {
		t.Errorf("%d instances with %d bytes were read, %d are held", h.Instances, h.Usage.Own.PSS, p.Len())
	}
}

func TestScalingOfWhatIsHeldAlready(t *testing.T) {
	_, p := newScaling(t, measure.Limits{})
	if err := p.Grow(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := measure.NewScaling(t.Context(), p, measure.HoldOptions{}); err == nil {
		t.Error("the host was read as if nothing were held")
	}
}
