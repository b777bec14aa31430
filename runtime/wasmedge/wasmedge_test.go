package wasmedge

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func unmarked(runtime.Phase, time.Time) {}

// require skips the test where WasmEdge is not to be had, unless
// WASMBENCH_REQUIRE says that it must be.
func require(t testing.TB) {
	t.Helper()
	if _, err := Precompiled().Probe(t.Context()); err != nil {
		if !errors.As(err, new(*runtime.Unavailable)) || slices.Contains(strings.Split(os.Getenv("WASMBENCH_REQUIRE"), ","), "wasmedge") {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// each runs f on every runtime.
func each(t *testing.T, f func(t *testing.T, r runtime.Runtime)) {
	require(t)
	for _, r := range []runtime.Runtime{Precompiled(), Interpreter(), Embedded()} {
		t.Run(r.Name(), func(t *testing.T) { f(t, r) })
	}
}

// modules is a workload whose guest is given as modules.
type modules struct{ command, reactor string }

func (m modules) Name() string       { return "modules" }
func (m modules) Request() []byte    { return []byte("request") }
func (m modules) Check([]byte) error { return nil }
func (m modules) Artifact(_ context.Context, f workload.Form) (string, error) {
	if f == workload.Command {
		return m.command, nil
	}
	return m.reactor, nil
}

func prepare(t *testing.T, r runtime.Runtime, w workload.Workload) runtime.Image {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
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

// fail starts an instance, calls it if that succeeds, and returns the error
// that one of the two gave.
func fail(t *testing.T, ctx context.Context, img runtime.Image) error {
	t.Helper()
	inst, err := img.Start(ctx, unmarked)
	if err == nil {
		_, err = inst.Call(ctx, []byte("request"))
		if cerr := inst.Close(); cerr != nil {
			t.Error(cerr)
		}
	}
	return err
}

// answers starts the workload and checks its answer.
func answers(t *testing.T, img runtime.Image, w workload.Workload) {
	t.Helper()
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatal(err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuests(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		fibonacci, err := workload.Fibonacci(workload.C, 20)
		if err != nil {
			t.Fatal(err)
		}
		guests := []workload.Workload{workload.Hello(workload.C), fibonacci}
		if r.Name() == "wasmedge-interp" { // compiling a Go guest ahead takes a minute
			guests = append(guests, workload.Hello(workload.Go))
		}
		for _, w := range guests {
			img := prepare(t, r, w)
			answers(t, img, w)
			answers(t, img, w)
			if img.Bytes() <= 0 {
				t.Errorf("%s: the image has %d bytes", w.Name(), img.Bytes())
			}
		}
	})
}

func TestInfo(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		info, err := r.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(info.Version, "libwasmedge "+release) || !strings.Contains(info.Settings, "1024 MiB") {
			t.Errorf("%+v", info)
		}
	})
}

// Every way to end a guest that WasmEdge has no limit for, or that is wrong, is
// an error that names the runtime, and the next image works.
func TestHostileGuests(t *testing.T) {
	recursion := []byte{0x20, 0, 0x10, 1, 0x20, 0, 0x10, 1, 0x7c}            // answer(size) + answer(size)
	command := wasmtest.Func{Name: "_start", Code: []byte{0x10, 0, 0x10, 0}} // _start(); _start()
	tests := []struct {
		name             string
		command, reactor []byte
		says             map[string]string // by runtime; "" for the others
	}{
		{"trap", entry(wasmtest.Trap), wasmtest.Reactor(wasmtest.Trap), map[string]string{"": "unreachable"}},
		{"stack overflow", wasmtest.Module(command), wasmtest.Reactor(recursion), map[string]string{"": "segmentation", "wasmedge-interp": "abort"}},
		{"exit", exiting(7), exiting(7), map[string]string{"": "exited with status 7"}},
		{"exit with status 0", nil, exiting(0), map[string]string{"wasmedge-embedded": "exited with status 0"}},
	}
	each(t, func(t *testing.T, r runtime.Runtime) {
		for _, tt := range tests {
			says, ok := tt.says[r.Name()]
			if !ok {
				says, ok = tt.says[""]
			}
			if !ok {
				continue
			}
			m := modules{wasmtest.Write(t, tt.command), wasmtest.Write(t, tt.reactor)}
			img := prepare(t, r, m)
			err := fail(t, t.Context(), img)
			if err == nil || !strings.Contains(err.Error(), "runtime "+r.Name()) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: error %v does not name the runtime and %q", tt.name, err, says)
			}
			if r.Name() == "wasmedge-embedded" && strings.Contains(says, "segmentation") {
				if err := fail(t, t.Context(), img); !errors.Is(err, engine.ErrHostEnded) {
					t.Errorf("%s: a start on a dead host gave %v", tt.name, err)
				}
			}
			w := workload.Hello(workload.C)
			answers(t, prepare(t, r, w), w)
		}
	})
}

// entry returns a command of one function.
func entry(code []byte) []byte {
	return wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void, Code: code})
}

func TestEndlessGuest(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, modules{wasmtest.Write(t, entry(wasmtest.Loop)), wasmtest.Write(t, wasmtest.Reactor(wasmtest.Loop))})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := fail(t, ctx, img); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

// A guest that prints does not disturb what the host and the harness say to
// each other, and one that reads does not take from it.
func TestReactorHasNoStandardFiles(t *testing.T) {
	require(t)
	inst, err := prepare(t, Embedded(), modules{reactor: wasmtest.Write(t, talking())}).Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		answer, err := inst.Call(t.Context(), nil)
		if err != nil || string(answer) != "\x00\x00\x00\x00" {
			t.Errorf("the guest read %q bytes, error %v", answer, err)
		}
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// Neither a module nor an artefact that is no good is started, and the error
// names the runtime.
func TestUnusableFiles(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		for name, path := range map[string]string{
			"missing":              filepath.Join(t.TempDir(), "no.wasm"),
			"with a stray end":     wasmtest.Write(t, append(entry(nil), 0xff)),
			"with too many locals": wasmtest.Write(t, wasmtest.ManyLocals()),
			"of unsound code":      wasmtest.Write(t, importing(nil, nil, []byte{0x1a}, []byte{0x1a})), // drops what is not there
		} {
			img, err := r.Prepare(t.Context(), modules{path, path})
			if err == nil {
				err = fail(t, t.Context(), img)
				img.Close()
			}
			if err == nil {
				t.Errorf("a module %s was started", name)
			}
		}
	})
	w := workload.Hello(workload.C)
	for _, r := range []*engine.Runtime{Precompiled().(*engine.Runtime), Embedded().(*engine.Runtime)} {
		t.Setenv("XDG_CACHE_HOME", cacheWithLibrary(t))
		img := prepare(t, r, w)
		for _, artefact := range must(filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "wasmbench/compiled/*/module"))) {
			if err := os.WriteFile(artefact, []byte("no code"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := fail(t, t.Context(), img); err == nil || !strings.Contains(err.Error(), "runtime "+r.Label) {
			t.Errorf("an artefact that was overwritten: error %v", err)
		}
	}
}

// cacheWithLibrary returns an empty cache directory but for libwasmedge.
func cacheWithLibrary(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wasmbench")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(must(os.UserCacheDir()), "wasmbench/libwasmedge")
	if err := os.Symlink(from, filepath.Join(dir, "libwasmedge")); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(dir)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestMemoryLimit(t *testing.T) {
	require(t)
	// Answers with the result of memory.grow by the request's size in pages,
	// stored at address 0.
	grow := []byte{0x41, 0x00, 0x20, 0x00, 0x40, 0x00, 0x36, 0x02, 0x00, 0x42, 0x04}
	r := &engine.Runtime{Label: "limited", Host: host, Embedded: true, Flags: []string{"-maxmemory=262144"}}
	inst, err := prepare(t, r, modules{reactor: wasmtest.Write(t, wasmtest.Reactor(grow))}).Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pages int
		want  string
	}{{3, "\x01\x00\x00\x00"}, {1, "\xff\xff\xff\xff"}} {
		answer, err := inst.Call(t.Context(), make([]byte, tt.pages))
		if err != nil || string(answer) != tt.want {
			t.Errorf("growing by %d pages: %q, error %v; want %q", tt.pages, answer, err, tt.want)
		}
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// What an instance takes is given back: ten thousand leave less behind than a
// page each.
func TestInstancesLeaveNothing(t *testing.T) {
	require(t)
	w := workload.Hello(workload.C)
	img := prepare(t, Embedded(), w)
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	defer inst.Close()
	resident := func() int {
		p, err := procfs.NewProc(inst.Scope().Own[0])
		if err != nil {
			t.Fatal(err)
		}
		return must(p.Stat()).ResidentMemory()
	}
	cycle := func(n int) {
		if _, err := img.(runtime.StartTimer).TimeStarts(t.Context(), n, false, w.Request(), w.Check); err != nil {
			t.Fatal(err)
		}
	}
	cycle(1000)
	before := resident()
	cycle(10_000)
	if grown := resident() - before; grown > 16<<20 {
		t.Errorf("ten thousand instances left %d bytes", grown)
	}
	first := img.(runtime.StartTimer)
	if _, err := first.TimeStarts(t.Context(), 100, true, w.Request(), w.Check); err != nil {
		t.Fatal(err)
	}
	before = resident()
	if _, err := first.TimeStarts(t.Context(), 1000, true, w.Request(), w.Check); err != nil {
		t.Fatal(err)
	}
	if grown := resident() - before; grown > 16<<20 {
		t.Errorf("a thousand loads of the module left %d bytes", grown)
	}
}

// prefix fakes an installation of libwasmedge with these headers.
func prefix(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	headers := filepath.Join(dir, "include/wasmedge")
	if err := os.MkdirAll(headers, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(headers, "version.h"), []byte(version), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestNoLibrary(t *testing.T) {
	empty := t.TempDir()
	for _, tt := range []struct {
		name, prefix string
		what         string
		says         []string
	}{
		{"none", empty, "libwasmedge", []string{empty, "scripts/libwasmedge.sh"}},
		{"another version", prefix(t, "#define WASMEDGE_VERSION \"0.13.5\"\n"), "libwasmedge of another version", []string{"0.13.5", "0.14.", "scripts/libwasmedge.sh"}},
		{"no version", prefix(t, "text"), "libwasmedge", []string{"WASMEDGE_VERSION", "scripts/libwasmedge.sh"}},
		{"headers only", prefix(t, "#define WASMEDGE_VERSION \"0.14.1\"\n"), "libwasmedge", []string{"libwasmedge.so"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(PrefixVariable, tt.prefix)
			r := &engine.Runtime{Label: "wasmedge", Host: newHost()}
			_, err := r.Probe(t.Context())
			_, perr := r.Prepare(t.Context(), workload.Hello(workload.C))
			for _, err := range []error{err, perr} {
				var absent *runtime.Unavailable
				if !errors.As(err, &absent) || absent.What != tt.what {
					t.Fatalf("error %v, want %s Unavailable", err, tt.what)
				}
				for _, s := range tt.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("error %q does not say %q", err, s)
					}
				}
			}
		})
	}
}

// A library that says at run time that it is another version than the headers
// that the host was compiled with is refused.
func TestLibraryUnlikeItsHeaders(t *testing.T) {
	require(t)
	dir := t.TempDir()
	source, object := filepath.Join(dir, "version.c"), filepath.Join(dir, "version.so")
	if err := os.WriteFile(source, []byte(`const char *WasmEdge_VersionGet(void) { return "0.14.99"; }`), 0o644); err != nil {
		t.Fatal(err)
	}
	cc, _, err := workload.CompilerC(t.Context())
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-shared", "-nostdlib", "-fPIC", "-o", object, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Setenv("LD_PRELOAD", object)
	_, err = Precompiled().Probe(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another version: found 0.14.99, needed 0.14.") {
		t.Errorf("error %v", err)
	}
}

// TestEngine runs the tests of the code that is linked with WasmEdge, which a
// plain go test leaves out.
func TestEngine(t *testing.T) {
	require(t)
	lib := must(library(t.Context()))
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags="+lib.Tag, "./internal/engine", "./host")
	cmd.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=1", "GOFLAGS="}, lib.Env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

func TestKilledHost(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		inst, err := prepare(t, r, w).Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(inst.Scope().Own[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := inst.Call(t.Context(), w.Request()); err == nil {
			t.Error("a host that was killed answered")
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
}
