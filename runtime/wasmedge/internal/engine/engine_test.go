//go:build cgo && wasmedge

package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func unmarked(runtime.Phase, time.Time) {}

// both are the two ways of execution.
var both = []engine.Options{{}, {Interpreter: true}}

// source returns a module and, unless it is to be interpreted, its artefact.
func source(t testing.TB, opts engine.Options, path string) enginehost.Source {
	t.Helper()
	src := enginehost.Source{Module: path}
	if !opts.Interpreter {
		src.Artifact = filepath.Join(t.TempDir(), "module")
		if err := create(t, opts).Compile(t.Context(), path, src.Artifact); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

func create(t testing.TB, opts engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// open returns the image of a module, closed with the test.
func open(t testing.TB, opts engine.Options, src enginehost.Source) runtime.Image {
	t.Helper()
	img, err := create(t, opts).Image(src)
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

func start(t testing.TB, img runtime.Image) runtime.Instance {
	t.Helper()
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
	return inst
}

// reactor starts an instance of a reactor with this wasmbench_answer.
func reactor(t testing.TB, opts engine.Options, answer []byte) runtime.Instance {
	t.Helper()
	return start(t, open(t, opts, source(t, opts, wasmtest.Write(t, wasmtest.Reactor(answer)))))
}

// Requests outgrow the first buffer, and instances outlive what Unload forgets.
func TestRequests(t *testing.T) {
	path, err := workload.Hello(workload.C).Artifact(t.Context(), workload.Reactor)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range both {
		img := open(t, opts, source(t, opts, path))
		for range 2 {
			inst := start(t, img)
			if err := img.(runtime.Unloader).Unload(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{1, 0, 200, 5000, 1 << 20, 10} {
				name := strings.Repeat("x", n)
				answer, err := inst.Call(t.Context(), []byte(name))
				if err != nil || string(answer) != "Hello, "+name+"!" {
					t.Errorf("%+v: a request of %d bytes: answer of %d, error %v", opts, n, len(answer), err)
				}
			}
		}
	}
}

func TestFailedAndClosedInstances(t *testing.T) {
	for _, opts := range both {
		inst := reactor(t, opts, wasmtest.Stray)
		if _, err := inst.Call(t.Context(), nil); !errors.As(err, new(*exchange.OutOfBoundsError)) {
			t.Errorf("%+v: an answer outside memory gave %v", opts, err)
		}
		if _, err := inst.Call(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "failed before") {
			t.Errorf("%+v: a call after a failure gave %v", opts, err)
		}
		inst = reactor(t, opts, wasmtest.Echo)
		inst.Close()
		if _, err := inst.Call(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%+v: a call after Close gave %v", opts, err)
		}
	}
}

// HTTP requests start, call and close instances of one image at a time.
func TestConcurrentInstances(t *testing.T) {
	w := workload.Hello(workload.C)
	path, err := w.Artifact(t.Context(), workload.Reactor)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range both {
		img := open(t, opts, source(t, opts, path))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for n := range 100 {
					inst, err := img.Start(t.Context(), unmarked)
					if err != nil {
						t.Error(err)
						return
					}
					if n%10 == 0 {
						err = img.(runtime.Unloader).Unload(t.Context())
					}
					answer, cerr := inst.Call(t.Context(), w.Request())
					if err := errors.Join(err, cerr, w.Check(answer), inst.Close()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestMemoryLimit(t *testing.T) {
	// Answers with the result of memory.grow by the request's size in pages,
	// stored at address 0.
	grow := []byte{0x41, 0x00, 0x20, 0x00, 0x40, 0x00, 0x36, 0x02, 0x00, 0x42, 0x04}
	for _, opts := range both {
		opts.MaxMemory = 4 << 16
		inst := reactor(t, opts, grow)
		for _, tt := range []struct {
			pages int
			want  string
		}{{3, "\x01\x00\x00\x00"}, {1, "\xff\xff\xff\xff"}, {0, "\x04\x00\x00\x00"}} {
			answer, err := inst.Call(t.Context(), make([]byte, tt.pages))
			if err != nil || string(answer) != tt.want {
				t.Errorf("%+v: growing by %d pages: %q, error %v; want %q", opts, tt.pages, answer, err, tt.want)
			}
		}
	}
	if _, err := engine.New(engine.Options{MaxMemory: 1}); err == nil {
		t.Error("a limit below a page is accepted")
	}
	if _, err := engine.New(engine.Options{Dir: "/a:b"}); err == nil || !strings.Contains(err.Error(), "/a:b") {
		t.Errorf("a directory that WasmEdge takes for another gave %v", err)
	}
}

func TestInterruptibleCallEndsWithItsContext(t *testing.T) {
	for _, opts := range both {
		opts.Interruptible = true
		inst := reactor(t, opts, wasmtest.Loop)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := inst.Call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v: error %v, want the context's", opts, err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		answer, err := reactor(t, opts, wasmtest.Echo).Call(ctx, []byte("\x01"))
		if err != nil || len(answer) != 1 {
			t.Errorf("%+v: a call within its time: %q, error %v", opts, answer, err)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	whole := wasmtest.Reactor(wasmtest.Echo)
	good := source(t, engine.Options{}, wasmtest.Write(t, whole))
	object, err := os.ReadFile(good.Artifact)
	if err != nil {
		t.Fatal(err)
	}
	loaded := func(opts engine.Options, src enginehost.Source) error {
		img, err := create(t, opts).Image(src)
		if err == nil {
			defer img.Close()
			var inst runtime.Instance
			if inst, err = img.Start(t.Context(), unmarked); err == nil {
				_, err = inst.Call(t.Context(), nil)
				inst.Close()
			}
		}
		return err
	}
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("text"), "truncated": whole[:len(whole)-3],
		"a command": wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void}),
		"other types": wasmtest.Module(
			wasmtest.Func{Name: "wasmbench_request", Type: wasmtest.I32ToI32, Code: wasmtest.At16},
			wasmtest.Func{Name: "wasmbench_answer", Type: wasmtest.I32ToI32, Code: wasmtest.At16}),
	} {
		if err := loaded(engine.Options{Interpreter: true}, enginehost.Source{Module: wasmtest.Write(t, content)}); err == nil {
			t.Errorf("module: %s: it was started", name)
		}
	}
	for name, content := range map[string][]byte{"empty": nil, "text": []byte("text"), "cut off": object[:64]} {
		if err := loaded(engine.Options{}, enginehost.Source{Module: good.Module, Artifact: wasmtest.Write(t, content)}); err == nil {
			t.Errorf("artefact: %s: it was started", name)
		}
	}
	for _, opts := range both {
		absent := enginehost.Source{Module: "no/such.wasm", Artifact: "no/such"}
		if err := loaded(opts, absent); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: a missing module gave %v", opts, err)
		}
	}
	if err := create(t, engine.Options{}).Compile(t.Context(), "no/such.wasm", filepath.Join(t.TempDir(), "module")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("compiling a missing module gave %v", err)
	}
	if err := loaded(engine.Options{}, enginehost.Source{Module: good.Module}); err == nil {
		t.Error("a module without an artefact was started")
	}
}

// bare is a command without a memory.
var bare = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")

// Run tells where a guest lies once it is there and before any of it has run.
func TestPlaced(t *testing.T) {
	trapping := wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void, Code: wasmtest.Trap})
	for _, opts := range both {
		for _, tt := range []struct {
			name     string
			module   []byte
			memories int
			fails    bool
		}{{"trapping", trapping, 1, true}, {"without a memory", bare, 0, false}} {
			var told []string
			memories := 0
			err := create(t, opts).Run(t.Context(), source(t, opts, wasmtest.Write(t, tt.module)), func() { told = append(told, "loaded") }, func(regions []runtime.Region) {
				told = append(told, "placed")
				for _, r := range regions {
					if r.Kind == runtime.LinearMemory && r.Start != 0 && r.End > r.Start {
						memories++
					}
				}
			})
			if (err != nil) != tt.fails || strings.Join(told, " ") != "loaded placed" || memories != tt.memories {
				t.Errorf("%s, %+v: told %q and of %d memories, error %v", tt.name, opts, told, memories, err)
			}
		}
	}
}
