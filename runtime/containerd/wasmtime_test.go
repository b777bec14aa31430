package containerd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/gotool"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestShimProgram(t *testing.T) {
	for name, want := range map[string]string{
		"io.containerd.wasmtime.v1": "containerd-shim-wasmtime-v1",
		"io.containerd.runc.v2":     "containerd-shim-runc-v2",
		"/opt/shim":                 "/opt/shim",
		"shim":                      "shim",
	} {
		if got := shimProgram(name); got != want {
			t.Errorf("shimProgram(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestWithoutTheShim(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := NewWasmtime(Options{})
	if r.Name() != "containerd-wasmtime" {
		t.Errorf("Name = %q", r.Name())
	}
	_, err := r.Probe(t.Context())
	u, ok := err.(*workload.Unavailable)
	if !ok || u.What != r.Name() || u.Fix == "" {
		t.Fatalf("error %v, want an *Unavailable with a remedy", err)
	}
	if os.Geteuid() == 0 && (u.Err == nil || !strings.Contains(u.Fix, "containerd-shim-wasmtime-v1")) {
		t.Errorf("error %v, want one that names the shim", err)
	}
}

func TestModulesDoNotServe(t *testing.T) {
	_, err := NewWasmtime(Options{}).PrepareServer(t.Context(), workload.Hello(workload.C), runtime.ServeOptions{})
	if u, ok := err.(*workload.Unavailable); !ok || u.Fix == "" || !errors.Is(err, workload.ErrNoForm) {
		t.Errorf("error %v, want an *Unavailable that wraps ErrNoForm", err)
	}
}

// A module would find what it names in the container's root.
func TestModulesHaveNoDirectory(t *testing.T) {
	r, dir := NewWasmtime(Options{}), t.TempDir()
	_, err := r.pack(t.Context(), rundirtest.Mounted{Workload: workload.Hello(workload.C), In: dir}, workload.RootFS, dir)
	if u, ok := err.(*workload.Unavailable); !ok || u.Fix == "" || !strings.Contains(u.What, dir) {
		t.Errorf("error %v, want an *Unavailable with the directory and a remedy", err)
	}
}

// nativeModule gives the guest of the tests, a program for the host, as if it
// were a module.
type nativeModule struct{ rundirtest.Echo }

func (m nativeModule) Artifact(ctx context.Context, f workload.Form) (string, error) {
	if f != workload.Command {
		return "", errors.New("something else than a module is wanted")
	}
	root, err := m.Echo.Artifact(ctx, workload.RootFS)
	return filepath.Join(root, "guest"), err
}

// With the shim for runc in the place of that for Wasmtime, and a program for
// the host in the place of a module, all that this package does for one is seen
// to work: which shim is found, the image, the container and its stdio.
func TestWasmtimeWithAnotherShim(t *testing.T) {
	_, _, host := connected(t) // skips where there are no containers
	shims, err := gotool.Containerd.Find(t.Context(), "containerd-shim-runc-v2")
	if err != nil {
		t.Fatal(err)
	}
	runc, err := gotool.Runc.Find(t.Context(), "runc")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := errors.Join(os.Symlink(shims, filepath.Join(bin, "containerd-shim-wasmtime-v1")), os.Symlink(runc, filepath.Join(bin, "runc"))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := NewWasmtime(Options{})
	info, err := r.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", info)
	// Where the shim for runc has its state when nobody tells it otherwise.
	state := filepath.Join("/run/containerd/runc", r.link.namespace)
	if !strings.Contains(info.Version, "containerd-shim-wasmtime-v1") || !strings.Contains(info.Settings, "io.containerd.wasmtime.v1") {
		t.Errorf("Probe = %+v", info)
	}
	w := nativeModule{rundirtest.Echo{Dir: t.TempDir()}}
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	list, err := r.link.client.ContainerService().List(r.link.context(t.Context()))
	if err != nil || len(list) != 1 {
		t.Fatalf("containers %v, %v", list, err)
	}
	checkRequest(t, list[0])
	if err := errors.Join(inst.Close(), img.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	os.Remove(state)
	os.Remove(filepath.Dir(state))
}

func checkRequest(t *testing.T, c containers.Container) {
	t.Helper()
	if c.Runtime.Name != "io.containerd.wasmtime.v1" || len(c.Runtime.Options.GetValue()) > 0 {
		t.Errorf("the container's runtime is %+v", c.Runtime)
	}
	var spec specs.Spec
	if err := typeurl.UnmarshalTo(c.Spec, &spec); err != nil {
		t.Fatal(err)
	}
	if len(spec.Process.Args) != 1 || spec.Process.Args[0] != oci.ModuleEntrypoint {
		t.Errorf("the command is %q", spec.Process.Args)
	}
}

// The contract with the shim itself, where it is installed.
func TestWasmtime(t *testing.T) {
	host := rundirtest.Watch(t)
	r := NewWasmtime(Options{})
	info, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	t.Logf("%+v", info)
	for _, language := range []workload.Language{workload.C, workload.Go} {
		w := workload.Hello(language)
		img, err := r.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		inst, line, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		host.Add(inst.Scope())
		t.Logf("%s: %v", language, line.Durations)
		restarter := inst.(runtime.Restarter)
		if err := errors.Join(restarter.Stop(t.Context()), restarter.Restart(t.Context(), line.Mark)); err != nil {
			t.Errorf("%s: %v", language, err)
		} else {
			host.Add(inst.Scope())
			if answer, err := inst.Call(t.Context(), w.Request()); err != nil || w.Check(answer) != nil {
				t.Errorf("%s, restarted: %q, %v", language, answer, err)
			}
		}
		if err := errors.Join(inst.Close(), img.Close()); err != nil {
			t.Errorf("%s: %v", language, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, left := range host.Leftovers(t) {
		t.Errorf("left behind: %s", left)
	}
}
