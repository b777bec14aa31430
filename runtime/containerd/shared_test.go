package containerd

import (
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
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// sharing returns a runtime with one shim for all containers, which the test
// closes, and checks that nothing is left then.
func sharing(t *testing.T) (*Runtime, *rundirtest.Host) {
	t.Helper()
	host := rundirtest.Watch(t)
	r := New(Options{SharedShim: true})
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
	_, err := NewWasmtime(Options{SharedShim: true}).Probe(t.Context())
	if u, ok := err.(*workload.Unavailable); !ok || u.Fix == "" {
		t.Errorf("error %v, want an *Unavailable with a remedy", err)
	}
}
