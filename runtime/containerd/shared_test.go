package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// sharing returns a runtime with one shim for all containers, which the test
// closes, and checks that nothing is left then.
func sharing(t *testing.T) (*Runtime, *rundirtest.Host) {
	t.Helper()
	host := rundirtest.Watch(t)
	r := New(Options{}).SharedShim()
	info, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	if !strings.Contains(info.Settings, "one shim for all") {
		t.Errorf("Settings = %q", info.Settings)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for _, left := range host.Leftovers(t) {
			t.Errorf("left behind: %s", left)
		}
	})
	return r, host
}

// shims returns the shims of runs in the host's directory.
func shims(t *testing.T, host *rundirtest.Host) (pids []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range names {
		name, _ := os.ReadFile(file)
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "environ"))
		if strings.HasPrefix(string(name), "containerd-shim") && strings.Contains(string(environ), "WASMBENCH_RUN="+host.Tmp) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

// Containers that are started at a time, also of two images, have one shim,
// which goes with the last of them, whichever that is.
func TestSharedShim(t *testing.T) {
	r, host := sharing(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	var images []runtime.Image
	for range 2 {
		img, err := r.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	for _, order := range []func([]runtime.Instance){
		func([]runtime.Instance) {},
		slices.Reverse[[]runtime.Instance],
	} {
		const n = 6
		instances, errs := make([]runtime.Instance, n), make([]error, n)
		var all sync.WaitGroup
		for k := range n {
			all.Go(func() {
				instances[k], _, errs[k] = runtime.FirstAnswer(t.Context(), images[k%2], w.Request(), w.Check)
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		shim := instances[0].Scope().Shim
		for k, inst := range instances {
			s := inst.Scope()
			host.Add(s)
			if s.Shim != shim || shim == 0 || len(s.Own) != 1 || !slices.Equal(s.Shared, []int{r.link.pid, shim}) {
				t.Errorf("instance %d has the scope %+v, the first the shim %d", k, s, shim)
			}
		}
		if has := shims(t, host); !slices.Equal(has, []string{fmt.Sprint(shim)}) {
			t.Errorf("the shims are %v, want %d alone", has, shim)
		}
		order(instances)
		for k, inst := range instances {
			if answer, err := inst.Call(t.Context(), w.Request()); err != nil || w.Check(answer) != nil {
				t.Errorf("after %d have been closed: Call = %q, %v", k, answer, err)
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		}
		if has := shims(t, host); len(has) > 0 {
			t.Errorf("the shims %v are left without a task", has)
		}
	}
	for _, img := range images {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

// First and last tasks of the shim follow each other closely, and some cannot be
// made.
func TestSharedShimComesAndGoes(t *testing.T) {
	r, host := sharing(t)
	dir := t.TempDir()
	w := rundirtest.Echo{Dir: dir}
	good, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "missing", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for k := range 6 {
				if k%3 == 2 {
					if _, err := bad.Start(t.Context(), func(runtime.Phase, time.Time) {}); !errors.Is(err, oci.ErrCommand) {
						t.Errorf("error %v, want ErrCommand", err)
					}
					continue
				}
				inst, _, err := runtime.FirstAnswer(t.Context(), good, w.Request(), w.Check)
				if err == nil {
					err = inst.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if has := shims(t, host); len(has) > 0 {
		t.Errorf("the shims %v are left without a task", has)
	}
	if err := errors.Join(good.Close(), bad.Close()); err != nil {
		t.Error(err)
	}
}

// The last containers of the shim are closed at a time.
func TestSharedShimOfACrowd(t *testing.T) {
	r, host := sharing(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{4, 8, 8} {
		rundirtest.Crowd(t, host, img, w, width, width)
		if has := shims(t, host); len(has) > 0 {
			t.Errorf("the shims %v are left without a task", has)
		}
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

// What is left in another's daemon is removed several at a time too.
func TestSharedShimInAnotherDaemon(t *testing.T) {
	_, l, _ := connected(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	for range 4 {
		r := New(Options{Address: l.address}).SharedShim()
		img, err := r.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if all, err := l.client.NamespaceService().List(t.Context()); err != nil || len(all) > 1 {
		t.Errorf("namespaces %v, %v, want none but that of the daemon's owner", all, err)
	}
}

// A shim that dies takes its tasks along. Those that come then have another,
// which those that are closed leave alone.
func TestSharedShimDies(t *testing.T) {
	r, host := sharing(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	start := func() runtime.Instance {
		t.Helper()
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		return inst
	}
	kill := func(inst runtime.Instance) {
		t.Helper()
		shim, err := pidfd.Open(inst.Scope().Shim)
		if err != nil {
			t.Fatal(err)
		}
		defer shim.Close()
		if err := shim.End(); err != nil {
			t.Fatal(err)
		}
	}
	first, second := start(), start()
	kill(first)
	third := start()
	shim := third.Scope().Shim
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	fourth := start()
	if s := fourth.Scope().Shim; s != shim || shim == 0 {
		t.Errorf("the shims of two that are left are %d and %d", shim, s)
	}
	kill(third)
	if err := errors.Join(third.Close(), fourth.Close()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(start().Close(), img.Close()); err != nil {
		t.Error(err)
	}
	if has := shims(t, host); len(has) > 0 {
		t.Errorf("the shims %v are left without a task", has)
	}
}

// A restart that fails keeps nobody else from starting, and what failed can be
// closed, once or twice.
func TestSharedShimAfterAFailedRestart(t *testing.T) {
	r, host := sharing(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	c := inst.(*container)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mounts[0].Type = "nonsense"
	if err := c.Restart(t.Context(), ignorePhase); err == nil {
		t.Error("what has no root file system was restarted")
	}
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other, err := img.Start(limited, ignorePhase)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(other.Scope())
	for range 2 {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
	if g := img.(*image).group; g.starting+g.ending != 0 || g.shim != nil {
		t.Errorf("the group has %d members that start, %d that end and the shim %v", g.starting, g.ending, g.shim)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

// A member that could not be ended is one until it is.
func TestMembersThatDoNotEnd(t *testing.T) {
	failed := errors.New("failed")
	for _, made := range []bool{false, true} {
		g := newGroup("")
		m, err := g.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if made {
			m.joined(os.Getpid())
			want = 1
		}
		for range 2 {
			if err := m.leave(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
				t.Errorf("error %v, want %v", err, failed)
			}
			if g.starting+g.ending != 0 || made && g.shim.running != want {
				t.Errorf("made %v: %+v", made, g)
			}
			other, err := g.enter(t.Context()) // is free to
			if err != nil {
				t.Fatal(err)
			}
			if err := other.leave(t.Context(), func() error { return nil }); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			if err := m.leave(t.Context(), func() error { return nil }); err != nil {
				t.Error(err)
			}
		}
		if g.starting+g.ending != 0 || g.shim != nil {
			t.Errorf("made %v, after all have left: %+v", made, g)
		}
	}
}

// Nobody waits longer than his context for those that come and go.
func TestWaitingForOtherMembers(t *testing.T) {
	g := newGroup("")
	first, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.enter(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	first.joined(os.Getpid())
	second, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.leave(cancelled, func() error { t.Error("ended"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	for _, m := range []*member{second, first} {
		if err := m.leave(t.Context(), func() error { return nil }); err != nil {
			t.Error(err)
		}
	}
}

// A shim that does not end keeps nobody from what does not need it, and is
// waited for no longer than the context.
func TestShimThatDoesNotEnd(t *testing.T) {
	shim, err := pidfd.Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	g := newGroup("")
	m, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.joined(os.Getpid())
	g.shim.process = shim
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- m.leave(ctx, func() error { return nil }) }()
	for g.mu.Lock(); g.shim != nil; g.mu.Lock() { // it is waited for from then on
		g.mu.Unlock()
	}
	g.mu.Unlock()
	cancelled, stop := context.WithCancel(t.Context())
	stop()
	if _, err := g.enter(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if _, err := g.enter(t.Context()); err != nil {
		t.Error(err)
	}
}

// Both ways to have shims use one daemon, which either ends.
func TestShimsOfBothKinds(t *testing.T) {
	each, l, host := connected(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	one := each.SharedShim()
	var closers []func() error
	for n, r := range []*Runtime{one, each, each.SharedShim()} {
		img, err := r.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		s := inst.Scope()
		host.Add(s)
		if s.Shared[0] != l.pid || s.Shim == 0 || slices.Contains(s.Own, s.Shim) == r.shared {
			t.Errorf("%d: scope %+v", n, s)
		}
		closers = append(closers, inst.Close, img.Close)
	}
	if has := shims(t, host); len(has) != 2 {
		t.Errorf("the shims are %v, want one for two and one for one", has)
	}
	for _, closing := range closers {
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
	if err := one.Close(); err != nil || each.link != nil {
		t.Errorf("Close = %v, and the link of the other is %v", err, each.link)
	}
}

func TestSharedShimLives(t *testing.T) {
	r, host := sharing(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		mode string
		test func(runtime.Image)
	}{
		{"", func(img runtime.Image) { rundirtest.Pause(t, host, img) }},
		{"keeps", func(img runtime.Image) { rundirtest.Restart(t, host, img, "") }},
	} {
		img, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: tt.mode, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		tt.test(img)
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNoSharedShimForModules(t *testing.T) {
	_, err := NewWasmtime(Options{}).SharedShim().Probe(t.Context())
	if u, ok := err.(*workload.Unavailable); !ok || u.Fix == "" {
		t.Errorf("error %v, want an *Unavailable with a remedy", err)
	}
}
