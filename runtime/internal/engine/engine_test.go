package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func unmarked(runtime.Phase, time.Time) {}

// runtimes are all that run in an engine host.
func runtimes() []runtime.Runtime {
	return []runtime.Runtime{
		wazero.Precompiled(), wazero.JIT(), wazero.Interpreter(), wazero.Embedded(),
		wasmtime.Precompiled(), wasmtime.JIT(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}),
		wasmedge.Precompiled(), wasmedge.Interpreter(), wasmedge.Embedded(),
	}
}

// each runs f on every runtime that is to be had here.
func each(t *testing.T, f func(t *testing.T, r runtime.Runtime)) {
	for _, r := range runtimes() {
		t.Run(r.Name(), func(t *testing.T) {
			available(t, r)
			f(t, r)
		})
	}
}

// available skips the test where the runtime is not to be had, unless
// WASMBENCH_REQUIRE says that it must be.
func available(t *testing.T, r runtime.Runtime) {
	t.Helper()
	if _, err := r.Probe(t.Context()); err != nil {
		if slices.Contains(strings.Split(os.Getenv("WASMBENCH_REQUIRE"), ","), r.Name()) || !errors.As(err, new(*runtime.Unavailable)) {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// modules is a workload whose guest is given as modules.
type modules struct{ command, reactor string }

func (m modules) Name() string              { return "modules" }
func (m modules) Request() []byte           { return []byte("request") }
func (m modules) Check(answer []byte) error { return nil }
func (m modules) Artifact(_ context.Context, f workload.Form) (string, error) {
	if f == workload.Command {
		return m.command, nil
	}
	return m.reactor, nil
}

// both returns a workload with one body of code as both kinds of module.
func both(t *testing.T, code []byte) modules {
	return modules{
		command: wasmtest.Write(t, wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void, Code: code})),
		reactor: wasmtest.Write(t, wasmtest.Reactor(code)),
	}
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

func TestHello(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		img := prepare(t, r, w)
		if img.Bytes() <= 0 {
			t.Errorf("the image has %d bytes", img.Bytes())
		}
		var timelines []runtime.Timeline
		for range 2 {
			begin := time.Now()
			inst, tl, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			passed := time.Since(begin)
			if err != nil {
				t.Fatal(err)
			}
			timelines = append(timelines, *tl)
			if got := tl.FirstAnswer(); got <= 0 || got > passed {
				t.Errorf("the first answer took %v of %v", got, passed)
			}
			for _, request := range []string{"again", ""} {
				answer, err := inst.Call(t.Context(), []byte(request))
				if err != nil || string(answer) != "Hello, "+request+"!" {
					t.Errorf("answer %q, error %v", answer, err)
				}
			}
			if own := inst.Scope().Own; len(own) != 1 || own[0] == os.Getpid() || syscall.Kill(own[0], 0) != nil {
				t.Errorf("scope %v names no other live process", own)
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		}
		// Start may be nothing where the harness was told late of the exec.
		for _, p := range []runtime.Phase{runtime.Load, runtime.Create, runtime.Ready, runtime.Served} {
			if timelines[0].Durations[p] <= 0 {
				t.Errorf("phase %v of the first start was not told", p)
			}
		}
		_, embedded := img.(runtime.StartTimer)
		if loads := timelines[1].Durations[runtime.Load] > 0; loads == embedded {
			t.Errorf("the second start loads the module: %t; in one process: %t", loads, embedded)
		}
	})
}

func TestTimedStarts(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		img := prepare(t, r, w)
		timer, ok := img.(runtime.StartTimer)
		if !ok {
			t.Skip("its instances are processes")
		}
		for _, first := range []bool{true, false} {
			ts, err := timer.TimeStarts(t.Context(), 300, first, w.Request(), w.Check)
			if err != nil || len(ts) != 300 {
				t.Fatalf("%d timelines, error %v", len(ts), err)
			}
			for i, tl := range ts {
				if loads := tl.Durations[runtime.Load] > 0; loads != first {
					t.Fatalf("start %d loads the module: %t; a first one: %t", i, loads, first)
				}
				if tl.FirstAnswer() <= 0 || tl.Durations[runtime.Stop] <= 0 {
					t.Fatalf("start %d: %v", i, tl)
				}
			}
		}
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		if times, err := inst.(runtime.CallTimer).TimeCalls(t.Context(), 300, w.Request(), w.Check); err != nil || len(times) != 300 {
			t.Errorf("%d calls were timed, error %v", len(times), err)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
		wrong := func([]byte) error { return &workload.WrongAnswer{} }
		if ts, err := timer.TimeStarts(t.Context(), 10, false, w.Request(), wrong); !errors.As(err, new(*workload.WrongAnswer)) || ts != nil {
			t.Errorf("wrong answers gave %d timelines, error %v", len(ts), err)
		}
	})
}

func TestBadModules(t *testing.T) {
	whole, err := os.ReadFile(must(workload.Hello(workload.C).Artifact(t.Context(), workload.Command)))
	if err != nil {
		t.Fatal(err)
	}
	truncated := wasmtest.Write(t, whole[:len(whole)/2])
	invalid := wasmtest.Write(t, wasmtest.Module(
		wasmtest.Func{Name: "_start", Type: wasmtest.Void, Code: []byte{0x6a}}, // i32.add of nothing
		wasmtest.Func{Name: "wasmbench_request", Type: wasmtest.I32ToI32, Code: wasmtest.At16},
		wasmtest.Func{Name: "wasmbench_answer", Type: wasmtest.I32ToI64, Code: wasmtest.Echo}))
	other := wasmtest.Write(t, wasmtest.Module(wasmtest.Func{Name: "main", Type: wasmtest.Void}))
	tests := []struct {
		name, path string
		want       error
		says       string
	}{
		{"missing", "no/such.wasm", fs.ErrNotExist, "no/such.wasm"},
		{"truncated", truncated, module.ErrMalformed, truncated},
		{"without the export", other, module.ErrMissingExport, "main"},
		{"invalid", invalid, nil, invalid},
		{"too many locals", wasmtest.Write(t, wasmtest.ManyLocals()), module.ErrLimit, "local variables"},
	}
	each(t, func(t *testing.T, r runtime.Runtime) {
		for _, tt := range tests {
			img, err := r.Prepare(t.Context(), modules{tt.path, tt.path})
			if err == nil {
				_, err = img.Start(t.Context(), unmarked)
				img.Close()
			}
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
			} else if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: error %q does not name %q", tt.name, err, tt.says)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A guest that traps ends its call, or its process, and not the run.
func TestTrap(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, both(t, wasmtest.Trap))
		inst, err := img.Start(t.Context(), unmarked)
		if err == nil {
			_, err = inst.Call(t.Context(), []byte("request"))
			if cerr := inst.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		if err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("error %v does not name the trap", err)
		}
	})
}

// A guest that never returns ends with the context, and its process with it.
func TestEndlessGuest(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, both(t, wasmtest.Loop))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		inst, err := img.Start(ctx, unmarked)
		if err == nil {
			pid := inst.Scope().Own[0]
			_, err = inst.Call(ctx, []byte("request"))
			if cerr := inst.Close(); cerr != nil {
				t.Error(cerr)
			}
			if syscall.Kill(pid, 0) == nil {
				t.Errorf("process %d lives on", pid)
			}
			if _, err := img.Start(t.Context(), unmarked); !errors.Is(err, engine.ErrHostEnded) {
				t.Errorf("starting on a host that was killed gave %v", err)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

// A command that is no worker is told from one that is.
func TestCommandThatSaysNothing(t *testing.T) {
	img := prepare(t, wazero.Precompiled(), both(t, nil))
	_, err := img.Start(t.Context(), unmarked)
	if err == nil || errors.Is(err, worker.ErrProtocol) || !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("error %v does not say that the guest ended", err)
	}
}

// The death of a host is an error that says how, and the image can be closed.
func TestKilledHost(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		img := prepare(t, r, w)
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		// WasmEdge takes a segmentation fault for the guest's.
		if err := syscall.Kill(inst.Scope().Own[0], syscall.SIGABRT); err != nil {
			t.Fatal(err)
		}
		for syscall.Kill(inst.Scope().Own[0], 0) == nil && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		_, err = inst.Call(t.Context(), w.Request())
		if err == nil || !strings.Contains(err.Error(), "abort") {
			t.Errorf("error %v does not say how the host ended", err)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
}
