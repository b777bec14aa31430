package spin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// guest returns a workload whose module is whole but never run: the stand-in
// answers itself.
func guest(t testing.TB) workload.Workload {
	t.Helper()
	path := wasmtest.Write(t, wasmtest.Module(wasmtest.Func{Name: "_start"}))
	return workload.Prebuilt{
		Label: "greeter", Ask: []byte("you"), Want: []byte("hello you"),
		Files: map[workload.Form]string{workload.CGI: path},
	}
}

func ignore(runtime.Phase, time.Time) {}

// prepare makes an image of the stand-in and checks at the end of the test that
// nothing is left of it.
func prepare(t *testing.T, mode string, o spin.Options) runtime.Image {
	t.Helper()
	watch(t)
	o.Path = standIn(t, mode)
	img, err := spin.New(o).Prepare(t.Context(), guest(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// watch makes the test fail if it leaves something on the host.
func watch(t *testing.T) {
	host := rundirtest.Watch(t)
	t.Cleanup(func() {
		if left := host.Leftovers(t); len(left) > 0 {
			t.Errorf("left on the host: %q", left)
		}
	})
}

func begin(t *testing.T, img runtime.Image) runtime.Instance {
	t.Helper()
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
		wantNone(t, inst.Scope().Own)
	})
	return inst
}

// wantNone checks that none of the processes runs.
func wantNone(t *testing.T, pids []int) {
	t.Helper()
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

func running(pid int) bool {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return false
	}
	stat, err := p.Stat()
	return err == nil && stat.State != "Z" && stat.State != "X"
}

func wantSays(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", says)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
}

type mounted struct{ workload.Workload }

func (mounted) Mount() string { return "/tmp" }

// A guest that is to have a directory of the host has no place here, and the
// error says so in a line.
func TestMounted(t *testing.T) {
	watch(t)
	r := spin.New(spin.Options{Path: standIn(t, "normal"), Cache: spin.Off})
	_, err := r.Prepare(t.Context(), mounted{guest(t)})
	_, serr := r.(runtime.Server).PrepareServer(t.Context(), mounted{guest(t)}, runtime.ServeOptions{})
	for _, err := range []error{err, serr} {
		var u *workload.Unavailable
		if !errors.As(err, &u) || !errors.Is(err, workload.ErrNoForm) || u.Why == "" || u.Fix == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want an *Unavailable in a line that wraps ErrNoForm", err)
		}
	}
}
