package measure_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// spinning returns a child that computes until the test ends.
func spinning(t *testing.T) *child {
	t.Helper()
	c := newChild(t)
	if _, err := fmt.Fprintln(c.stdin, "compute 1000000000"); err != nil {
		t.Fatal(err)
	}
	return c
}

// A busy process is found, wherever it is, and an idle one beside it is not taken
// for it. The harness sleeps.
func TestIdle(t *testing.T) {
	busy, calm := spinning(t), newChild(t)
	for name, test := range map[string]struct {
		scopes              []runtime.Scope
		guest, shim, daemon int // processes
		busy                string
		units               []string
	}{
		"a guest": {[]runtime.Scope{{Own: []int{calm.pid}}, {Own: []int{busy.pid, calm.pid}}}, 2, 0, 0, "guest-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "inst"}},
		"a guest's shim": {[]runtime.Scope{{Own: []int{calm.pid, busy.pid}, Shim: busy.pid}}, 1, 1, 0, "shim-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "shim-cpu-%", "inst"}},
		"a shared shim": {[]runtime.Scope{{Own: []int{calm.pid}, Shared: []int{busy.pid}, Shim: busy.pid}, {Own: []int{calm.pid}, Shared: []int{busy.pid}, Shim: busy.pid}}, 1, 1, 0, "shim-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "shim-cpu-%", "inst"}},
		"a daemon": {[]runtime.Scope{{Own: []int{calm.pid}, Shared: []int{busy.pid}}, {Own: []int{calm.pid}, Shared: []int{busy.pid}}}, 1, 0, 1, "daemon-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "daemon-cpu-%", "inst"}},
		"shared, own of one before": {[]runtime.Scope{{Own: []int{busy.pid}}, {Own: []int{calm.pid}, Shared: []int{busy.pid}}}, 2, 0, 0, "guest-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "inst"}},
		"shared, own of one behind": {[]runtime.Scope{{Own: []int{calm.pid}, Shared: []int{busy.pid}}, {Own: []int{busy.pid}}}, 2, 0, 0, "guest-cpu-%",
			[]string{"cpu-%", "guest-cpu-%", "inst"}},
	} {
		t.Run(name, func(t *testing.T) {
			var last string
			for range 10 { // other processes of the host may come first
				s, err := measure.Idle(t.Context(), test.scopes, 100*ms)
				if err != nil {
					t.Fatal(err)
				}
				if s.Instances != len(test.scopes) || s.Window < 100*ms || s.Guest.Processes != test.guest || s.Shim.Processes != test.shim || s.Daemon.Processes != test.daemon {
					t.Fatalf("%+v of %d scopes", s, len(test.scopes))
				}
				shares := map[string]float64{}
				var units []string
				for _, m := range s.Metrics() {
					shares[m.Unit] = m.Value
					units = append(units, m.Unit)
				}
				if !slices.Equal(units, test.units) || shares["inst"] != float64(len(test.scopes)) {
					t.Fatalf("metrics %v, want units %v", s.Metrics(), test.units)
				}
				if parts := shares["guest-cpu-%"] + shares["shim-cpu-%"] + shares["daemon-cpu-%"]; !near(parts, shares["cpu-%"]) {
					t.Fatalf("metrics %v: the parts are not the whole", s.Metrics())
				}
				others := shares["cpu-%"] - shares[test.busy]
				if shares[test.busy] > 10 && others < 5 && s.Harness < s.Window/10 {
					return
				}
				last = fmt.Sprintf("%v, the harness %v", s.Metrics(), s.Harness)
			}
			t.Errorf("%s is not found busy, others idle and the harness asleep: %s", test.busy, last)
		})
	}
}

// One process counts once, however many instances it has.
func TestIdleOfOneProcess(t *testing.T) {
	busy := spinning(t)
	s, err := measure.Idle(t.Context(), slices.Repeat([]runtime.Scope{{Own: []int{busy.pid}}}, 1000), 50*ms)
	if err != nil || s.Instances != 1000 || s.Guest.Processes != 1 {
		t.Fatalf("%+v, error %v", s, err)
	}
	// It has one thread that works, and a few that see to its memory.
	if share := s.Metrics()[0].Value; share > 400 {
		t.Errorf("one process took %v %% of a processor", share)
	}
}

func TestIdleRefuses(t *testing.T) {
	c := newChild(t)
	own := runtime.Scope{Own: []int{c.pid}}
	self := os.Getpid()
	for name, test := range map[string]struct {
		scopes []runtime.Scope
		window time.Duration
		want   string
	}{
		"nobody":             {nil, time.Second, "there are none"},
		"no window":          {[]runtime.Scope{own}, 0, "no length"},
		"nothing of its own": {[]runtime.Scope{own, {Shared: []int{c.pid}}}, time.Second, "instance 2 of 2 names no process"},
		"the harness":        {[]runtime.Scope{{Own: []int{self}}}, time.Second, strconv.Itoa(self) + " is the harness"},
		"the harness shared": {[]runtime.Scope{{Own: []int{c.pid}, Shared: []int{self}}}, time.Second, strconv.Itoa(self) + " is the harness"},
		"not there":          {[]runtime.Scope{{Own: []int{1 << 22}}}, time.Second, "process 4194304 has ended"},
	} {
		if s, err := measure.Idle(t.Context(), test.scopes, test.window); err == nil || !strings.Contains(err.Error(), test.want) || s != (measure.IdleSample{}) {
			t.Errorf("%s: %+v, error %v; want %q", name, s, err, test.want)
		}
	}
}

// What happens during a window of a day of the harness's clock.
func TestIdleWindow(t *testing.T) {
	const day = 24 * time.Hour
	stays, ends, leaves := newChild(t), newChild(t), newChild(t)
	synctest.Test(t, func(t *testing.T) {
		s, err := measure.Idle(t.Context(), []runtime.Scope{{Own: []int{stays.pid}}}, day)
		if err != nil || s.Window != day {
			t.Errorf("%+v, error %v", s, err)
		}

		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		begin := time.Now()
		if _, err := measure.Idle(ctx, []runtime.Scope{{Own: []int{stays.pid}}}, day); !errors.Is(err, why) || time.Since(begin) != time.Minute {
			t.Errorf("the context ended after a minute: after %v, error %v", time.Since(begin), err)
		}
		if _, err := measure.Idle(ctx, []runtime.Scope{{Own: []int{stays.pid}}}, day); !errors.Is(err, why) {
			t.Errorf("the context had ended: %v", err)
		}

		for _, test := range []struct {
			child *child
			reap  bool
		}{{ends, false}, {leaves, true}} {
			killed := make(chan error, 1)
			time.AfterFunc(time.Minute, func() {
				err := errors.Join(unix.Kill(test.child.pid, unix.SIGKILL), waitUntil(test.child.pid, unix.WEXITED))
				if test.reap {
					_, waited := unix.Wait4(test.child.pid, nil, 0, nil)
					err = errors.Join(err, waited)
				}
				killed <- err
			})
			s, err := measure.Idle(t.Context(), []runtime.Scope{{Own: []int{stays.pid}}, {Own: []int{test.child.pid}}}, day)
			if err := <-killed; err != nil {
				t.Fatal(err)
			}
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", test.child.pid)) || s != (measure.IdleSample{}) {
				t.Errorf("process %d ended, waited for: %v: %+v, error %v", test.child.pid, test.reap, s, err)
			}
		}
	})
}
