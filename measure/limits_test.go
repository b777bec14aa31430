package measure_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

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
		if !ok || reached.Limit != measure.LimitFreeMemory || reached.Held != p.Len() {
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
		time.Sleep(time.Hour) // what is between two growths does not count
		err := p.Grow(t.Context(), 100)
		reached, ok := err.(*measure.LimitReached)
		if !ok || *reached != (measure.LimitReached{Limit: measure.LimitTime, Have: int64(40 * ms), Most: int64(35 * ms), Held: 4, Fix: reached.Fix}) {
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

// A daemon or a shim that instances share may run out of files before this process
// does.
func TestFilesOfASharedProcess(t *testing.T) {
	daemon := newChild(t)
	if err := unix.Prlimit(daemon.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}, nil); err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		fails: func(int) error { _, err := daemon.order("open", 2); return err },
		scope: func(k int) runtime.Scope { return runtime.Scope{Own: []int{1000000 + k}, Shared: []int{daemon.pid}} },
	}
	p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
	defer p.Close()
	err := p.Grow(t.Context(), 100)
	reached, ok := err.(*measure.LimitReached)
	if !ok || reached.Limit != measure.LimitOpenFiles || reached.Most != 60 || reached.Have > 60 || reached.Have < 57 || reached.Held != p.Len() {
		t.Fatalf("error %#v", err)
	}
	for _, says := range []string{strconv.Itoa(daemon.pid), "raise its ulimit -n, which is 64"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
}

func TestLimitsOfASharedProcess(t *testing.T) {
	daemon := newChild(t)
	of := func(limits ...string) string {
		for i := range limits {
			limits[i] += fmt.Sprintf(" of process %d, which instances share", daemon.pid)
		}
		return fmt.Sprintf("%q", limits)
	}
	got, err := growSharing(daemon.pid)
	if want := of("address-space", "map-count", "open-files"); err != nil || got != want {
		t.Errorf("watched are %s, error %v; want %s", got, err, want)
	}
	// What may not be read is not watched, and no failure.
	if os.Getuid() == 0 {
		if got, want := newChild(t).tell(t, "share-as-nobody", daemon.pid), of("address-space"); got != want {
			t.Errorf("as another user %s are watched, want %s", got, want)
		}
	}
	daemon.stdin.Close()
	daemon.cmd.Wait()
	if _, err := growSharing(daemon.pid); err == nil || !strings.Contains(err.Error(), strconv.Itoa(daemon.pid)) || errors.As(err, new(*measure.LimitReached)) {
		t.Errorf("one that has ended: error %v", err)
	}
}
