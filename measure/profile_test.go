package measure_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// orSkip ends a test that needs what is not to be had here.
func orSkip(t *testing.T, err error) {
	t.Helper()
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func closeTo(got, want int64, share float64) bool {
	return math.Abs(float64(got-want)) <= share*float64(want)
}

// profile checks that the components are those that are named and add up to
// the processes' roll-ups, which are read by other means.
func profile(t *testing.T, scope runtime.Scope, opts measure.ProfileOptions, names ...string) map[string]int64 {
	t.Helper()
	settled := func(ctx context.Context) int64 {
		s, err := measure.Settle(ctx, func(context.Context) (int64, error) { return rollups(scope) }, measure.SettleOptions{Window: 100 * time.Millisecond})
		if err != nil || !s.OK {
			t.Fatalf("%+v, error %v", s, err)
		}
		return s.Value
	}
	var bytes map[string]int64
	var sum, after int64
	before := settled(t.Context())
	for range 10 { // other processes come and go, with which it shares pages
		parts, err := measure.Profile(t.Context(), scope, opts)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		sum, bytes = 0, map[string]int64{}
		for _, c := range parts {
			got = append(got, c.Name)
			bytes[c.Name] = c.Bytes
			sum += c.Bytes
			if c.Bytes < 0 {
				t.Errorf("%s has %d bytes", c.Name, c.Bytes)
			}
		}
		if !slices.Equal(got, names) {
			t.Fatalf("components %v, want %v", got, names)
		}
		after = settled(t.Context())
		if closeTo(before, after, 0.005) && closeTo(sum, after, 0.02) {
			return bytes
		}
		before = after
	}
	t.Fatalf("%v are %d bytes, the processes have %d", bytes, sum, after)
	return nil
}

func rollups(scope runtime.Scope) (sum int64, err error) {
	for _, pid := range slices.Concat(scope.Own, scope.Shared) {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return 0, err
		}
		r, err := p.ProcSMapsRollup()
		if err != nil {
			return 0, err
		}
		sum += int64(r.Pss)
	}
	return sum, nil
}

func TestProfileOfTheShared(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	self, other := os.Getpid(), cmd.Process.Pid
	for name, tt := range map[string]struct {
		scope runtime.Scope
		want  []string
	}{
		"nothing":                 {runtime.Scope{}, compiled},
		"a daemon twice":          {runtime.Scope{Own: []int{other}, Shared: []int{self, self}}, slices.Concat(compiled, []string{"daemon"})},
		"one that is own as well": {runtime.Scope{Own: []int{other}, Shared: []int{other}}, compiled},
		"a shim of its own":       {runtime.Scope{Own: []int{other, self}, Shim: self}, slices.Concat(compiled, []string{"shim"})},
		"a shim that is shared":   {runtime.Scope{Own: []int{other}, Shared: []int{self}, Shim: self}, slices.Concat(compiled, []string{"shim"})},
		"a shim alone":            {runtime.Scope{Own: []int{other}, Shim: other}, slices.Concat(compiled, []string{"shim"})},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := measure.Profile(t.Context(), tt.scope, measure.ProfileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var sum int64
			for _, p := range parts {
				got = append(got, p.Name)
				sum += p.Bytes
			}
			u, err := measure.Memory.Read(t.Context(), tt.scope)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("components %v, want %v", got, tt.want)
			}
			// This process is at work meanwhile.
			if !closeTo(sum, u.Own.PSS+u.Shared.PSS, 0.2) {
				t.Errorf("%v, the meter reads %d and %d", parts, u.Own.PSS, u.Shared.PSS)
			}
		})
	}
}

func TestProfileFails(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, new(unix.Siginfo), unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"ended", "waited for"} {
		for name, scope := range map[string]runtime.Scope{"own": {Own: []int{pid}}, "shared": {Shared: []int{pid}}, "shim": {Own: []int{pid}, Shim: pid}} {
			for _, engine := range []bool{false, true} {
				_, err := measure.Profile(t.Context(), scope, measure.ProfileOptions{Engine: engine})
				if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
					t.Errorf("%s process that has %s: %v", name, state, err)
				}
			}
		}
		cmd.Wait()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := measure.Profile(ctx, runtime.Scope{Own: []int{os.Getpid()}}, measure.ProfileOptions{}); !errors.Is(err, why) {
		t.Errorf("a context that had ended gave %v", err)
	}
}

func TestProfileRefusesContradictions(t *testing.T) {
	self := runtime.Scope{Own: []int{os.Getpid()}}
	for name, opts := range map[string]measure.ProfileOptions{
		"a guest with regions":             {Regions: []runtime.Region{{Path: "/nowhere"}}},
		"an engine that is an interpreter": {Engine: true, Interpreted: true},
		"an engine with V8's heap":         {Engine: true, V8Heap: 1},
	} {
		if parts, err := measure.Profile(t.Context(), self, opts); err == nil || parts != nil {
			t.Errorf("%s: %v, error %v", name, parts, err)
		}
	}
}
