package wasmedge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

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

// recursion is a wasmbench_answer that never returns: answer(size) + answer(size).
var recursion = []byte{0x20, 0, 0x10, 1, 0x20, 0, 0x10, 1, 0x7c}

// A guest that recurses for ever in a service ends the service, and does not
// fill the host's memory.
func TestHostileGuestInAService(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img, err := r.(runtime.Server).PrepareServer(t.Context(), modules{reactor: wasmtest.Write(t, wasmtest.Reactor(recursion))}, runtime.ServeOptions{Pool: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		address, err := runtime.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		svc, err := img.Serve(t.Context(), address, unmarked)
		if err != nil {
			t.Fatal(err)
		}
		defer svc.Close()
		if r.Name() == "wasmedge-interp" {
			bounded(t, svc.Scope().Own[0], 3<<30)
		}
		if status, err := post(svc); err == nil {
			t.Errorf("a guest without end answered with status %d", status)
		}
		<-svc.Ended()
		err = svc.Explain(io.ErrUnexpectedEOF)
		says := map[string]string{"wasmedge-interp": "abort"}[r.Name()]
		if says == "" {
			says = "segmentation"
		}
		if !strings.Contains(err.Error(), says) {
			t.Errorf("error %v does not say %q", err, says)
		}
	})
}

// bounded checks that the kernel lets a process have no more than most bytes.
func bounded(t *testing.T, pid int, most uint64) {
	t.Helper()
	var has unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &has); err != nil || has.Cur > most || has.Max > most {
		t.Fatalf("the host's memory is not bounded to %d bytes: %+v, error %v", most, has, err)
	}
}

// post makes a request of a service once it listens.
func post(svc runtime.Service) (status int, err error) {
	for {
		r, err := http.Post("http://"+svc.Address()+"/", "", http.NoBody)
		if err == nil {
			return r.StatusCode, r.Body.Close()
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return 0, err
		}
		select {
		case <-svc.Ended():
			return 0, err
		case <-time.After(time.Millisecond): // it is about to listen
		}
	}
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
			r := &engine.Runtime{Label: "wasmedge", Host: newHost("host")}
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

// A prefix that is no good does not hide one that is.
func TestLibraryBehindABrokenOne(t *testing.T) {
	const version = "#define WASMEDGE_VERSION \"0.14.1\"\n"
	good := prefix(t, version)
	if err := os.Mkdir(filepath.Join(good, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(good, "lib/libwasmedge.so"), []byte("library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]string{
		"none": t.TempDir(), "another version": prefix(t, "#define WASMEDGE_VERSION \"0.13.5\"\n"),
		"no version": prefix(t, "text"), "headers only": prefix(t, version),
	} {
		lib, err := search([]string{before, good})
		if err != nil || !strings.Contains(strings.Join(lib.Env, " "), good) {
			t.Errorf("%s: %v, error %v; want the library in %s", name, lib.Env, err, good)
		}
		if _, err := search([]string{before, t.TempDir()}); !errors.As(err, new(*runtime.Unavailable)) {
			t.Errorf("%s and none: error %v is no *Unavailable", name, err)
		}
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
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags="+lib.Tag, "./internal/...", "./host", "./storehost")
	cmd.Env = slices.Concat(os.Environ(), []string{"CGO_ENABLED=1", "GOFLAGS="}, lib.Env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

const killedEnv = "WASMBENCH_TEST_KILLED"

// A run that is killed takes with it what it compiles, which would be written to
// where the next run compiles the same.
func TestCompileOfAKilledRun(t *testing.T) {
	if os.Getenv(killedEnv) != "" { // a Go guest takes half a minute
		_, err := Precompiled().Prepare(t.Context(), workload.Hello(workload.Go))
		t.Fatalf("the compiler has ended: %v", err)
	}
	require(t)
	if _, err := workload.Hello(workload.Go).Artifact(t.Context(), workload.Command); err != nil {
		t.Skip(err)
	}
	built, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	prefixes := must(candidates())
	prefix := prefixes[slices.IndexFunc(prefixes, func(prefix string) bool {
		_, err := search([]string{prefix})
		return err == nil
	})]
	run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCompileOfAKilledRun$")
	run.Env = append(os.Environ(), killedEnv+"=1", "XDG_CACHE_HOME="+t.TempDir(), "GOCACHE="+strings.TrimSpace(string(built)), PrefixVariable+"="+prefix)
	var printed bytes.Buffer
	run.Stdout = &printed
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		run.Wait()
		close(ended)
	}()
	compiler := -1
	for compiler < 0 {
		select {
		case <-ended:
			t.Fatalf("nothing was compiled: %s", printed.String())
		case <-time.After(10 * time.Millisecond):
			compiler = compiling(t, run.Process.Pid)
		}
	}
	defer unix.Close(compiler)
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	// The compiler would need longer for what is left of its work.
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(compiler), Events: unix.POLLIN}}, 5000); n != 1 {
		t.Errorf("the compiler outlives the run: %d, %v", n, err)
		unix.PidfdSendSignal(compiler, unix.SIGKILL, nil, 0)
	}
}

// compiling returns a descriptor of a process's child that compiles a module, or
// -1.
func compiling(t *testing.T, parent int) int {
	t.Helper()
	for _, p := range must(procfs.AllProcs()) {
		stat, err := p.Stat()
		if err != nil || stat.PPID != parent {
			continue // it has ended, or is another's
		}
		if line, err := p.CmdLine(); err != nil || !slices.Contains(line, "compile") {
			continue
		}
		fd, err := unix.PidfdOpen(p.PID, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	return -1
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
