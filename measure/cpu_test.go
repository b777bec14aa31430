package measure_test

import (
	"errors"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// The meter agrees with the kernel's other account of this process, which may
// be coarser by a tick on each side.
func TestCPUMeter(t *testing.T) {
	scope := runtime.Scope{Own: []int{os.Getpid()}}
	var used time.Duration
	for used < 50*ms {
		u, err := measure.CPU.Read(t.Context(), scope)
		if err != nil {
			t.Fatal(err)
		}
		used = u.CPU
	}
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		t.Fatal(err)
	}
	account := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	if diff := (account - used).Abs(); diff > 25*ms {
		t.Errorf("the meter read %v, getrusage says %v", used, account)
	}
}

func TestCPUMeterOfNoProcess(t *testing.T) {
	_, err := measure.CPU.Read(t.Context(), runtime.Scope{Own: []int{1 << 22}})
	if !errors.Is(err, unix.ESRCH) || !strings.Contains(err.Error(), "process 4194304: it has ended") {
		t.Errorf("error %v for a process that is not there", err)
	}
}

// A process of another PID namespace has the number 0 here, which would be the
// clock of whoever asks.
func TestCPUMeterOfProcessWithoutNumber(t *testing.T) {
	for _, s := range []runtime.Scope{{Own: []int{0}}, {Shared: []int{0}}, {Own: []int{-1}}, {Shim: -1}} {
		if u, err := measure.CPU.Read(t.Context(), s); !errors.Is(err, unix.ESRCH) || u != (measure.Usage{}) {
			t.Errorf("%+v: read %+v, error %v", s, u, err)
		}
	}
}

// freeze stops a child, so that it uses nothing until the test ends.
func freeze(t *testing.T, c *child) {
	t.Helper()
	if err := unix.Kill(c.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := waitUntil(c.pid, unix.WSTOPPED); err != nil {
		t.Fatal(err)
	}
}

// waitUntil waits until a child has stopped or exited, and leaves it to others to
// take note.
func waitUntil(pid, what int) error {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, what|unix.WNOWAIT, nil); err != unix.EINTR {
			return err
		}
	}
}

func TestCPUMeterCountsEachProcessOnce(t *testing.T) {
	a, b := newChild(t), newChild(t)
	a.tell(t, "compute", 20)
	freeze(t, a)
	freeze(t, b)
	ofA := a.usage(t, measure.CPU).CPU
	ofB := b.usage(t, measure.CPU).CPU
	if ofA < 20*ms || ofB <= 0 || ofB >= ofA {
		t.Fatalf("%v of a child that spent 20ms and %v of one that spent nothing", ofA, ofB)
	}
	for name, test := range map[string]struct {
		scope             runtime.Scope
		own, shim, shared time.Duration
	}{
		"own, twice":                {runtime.Scope{Own: []int{a.pid, b.pid, a.pid}}, ofA + ofB, 0, 0},
		"own and shared":            {runtime.Scope{Own: []int{a.pid}, Shared: []int{a.pid, b.pid}}, ofA, 0, ofB},
		"shared, twice":             {runtime.Scope{Shared: []int{b.pid, b.pid}}, 0, 0, ofB},
		"own shim":                  {runtime.Scope{Own: []int{a.pid, b.pid}, Shim: b.pid}, ofA + ofB, ofB, 0},
		"shared shim":               {runtime.Scope{Own: []int{a.pid}, Shared: []int{b.pid}, Shim: b.pid}, ofA, ofB, ofB},
		"shim that nobody else has": {runtime.Scope{Own: []int{a.pid}, Shim: b.pid}, ofA, ofB, 0},
	} {
		u := readUsage(t, measure.CPU, test.scope)
		if u.CPU != test.own || u.ShimCPU != test.shim || u.SharedCPU != test.shared {
			t.Errorf("%s: own %v, shim %v, shared %v; want %v, %v, %v", name, u.CPU, u.ShimCPU, u.SharedCPU, test.own, test.shim, test.shared)
		}
		if u.User < 0 || u.User > u.CPU {
			t.Errorf("%s: %v of %v in user mode", name, u.User, u.CPU)
		}
	}
}

// A child that computes is in user mode and one that has zeros sent is not. The kernel
// samples, so a sample may be off, but not each of several.
func TestCPUMode(t *testing.T) {
	for _, test := range []struct {
		verb        string
		least, most float64 // shares of user mode
	}{{"compute", 0.8, 1}, {"send-zeros", 0, 0.5}} {
		t.Run(test.verb, func(t *testing.T) {
			w := worker{newChild(t), test.verb, 100}
			var share float64
			for range 5 {
				s, err := measure.Calls(t.Context(), w, w, 4, measure.CallOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if s.CPU < 400*ms || s.CPU > s.Wall*time.Duration(goruntime.NumCPU()) || s.Ticks <= 0 {
					t.Fatalf("%v in %v by %d ticks of a child that spent 400ms", s.CPU, s.Wall, s.Ticks)
				}
				if share = float64(s.User) / float64(s.CPU); share >= test.least && share <= test.most {
					efficiency(t, s)
					return
				}
			}
			t.Errorf("%.2f of its time in user mode, want %v to %v", share, test.least, test.most)
		})
	}
}

// efficiency sees that the parts of a sample are the whole.
func efficiency(t *testing.T, s measure.CallSample) {
	t.Helper()
	ms := s.Efficiency()
	units := []string{"cpu-%", "user-%", "sys-%"}
	if s.Ticks < 25 {
		t.Skipf("the kernel's clock ticked %d times", s.Ticks)
	}
	if got := unitsOf(ms); !slices.Equal(got, units) {
		t.Fatalf("units %q, want %q", got, units)
	}
	if math.Abs(ms[0].Value-ms[1].Value-ms[2].Value) > 1e-6 {
		t.Errorf("%v: user and system are not the whole", ms)
	}
}

func unitsOf(ms []measure.Metric) (units []string) {
	for _, m := range ms {
		units = append(units, m.Unit)
	}
	return units
}

func TestEfficiency(t *testing.T) {
	for name, test := range map[string]struct {
		sample measure.CallSample
		want   []measure.Metric
	}{
		"nothing":         {measure.CallSample{}, nil},
		"no processes":    {measure.CallSample{Wall: time.Second}, nil},
		"process":         {measure.CallSample{Wall: 2 * time.Second, CPU: time.Second, User: 750 * ms, Ticks: 250}, []measure.Metric{{Value: 50, Unit: "cpu-%"}, {Value: 37.5, Unit: "user-%"}, {Value: 12.5, Unit: "sys-%"}}},
		"few ticks":       {measure.CallSample{Wall: time.Second, CPU: 96 * ms, User: 96 * ms, Ticks: 24}, []measure.Metric{{Value: 9.6, Unit: "cpu-%"}}},
		"container":       {measure.CallSample{Wall: time.Second, CPU: time.Second, User: time.Second, Ticks: 25, Shim: 10 * ms}, []measure.Metric{{Value: 100, Unit: "cpu-%"}, {Value: 100, Unit: "user-%"}, {Value: 0, Unit: "sys-%"}, {Value: 1, Unit: "shim-%"}}},
		"several threads": {measure.CallSample{Wall: time.Second, CPU: 2 * time.Second, User: time.Second, Ticks: 500}, []measure.Metric{{Value: 200, Unit: "cpu-%"}, {Value: 100, Unit: "user-%"}, {Value: 100, Unit: "sys-%"}}},
	} {
		if got := test.sample.Efficiency(); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
