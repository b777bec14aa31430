package engine_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func unmarked(runtime.Phase, time.Time) {}

// open returns the image of a module, closed with the test.
func open(t testing.TB, opts engine.Options, src enginehost.Source) runtime.Image {
	t.Helper()
	img, err := engine.New(opts).Image(src)
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

func TestGuestsOfTheCatalogue(t *testing.T) {
	for _, opts := range []engine.Options{{}, {Interpreter: true}} {
		for _, l := range workload.Languages() {
			path, err := workload.Hello(l).Artifact(t.Context(), workload.Reactor)
			if errors.Is(err, workload.ErrNoForm) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			artifact := filepath.Join(t.TempDir(), "artifact")
			if err := engine.New(opts).Compile(t.Context(), path, artifact); err != nil {
				t.Fatal(err)
			}
			testGuest(t, opts, enginehost.Source{Module: path, Artifact: artifact})
			if l == workload.C { // compiling the Go guest once is long enough
				testGuest(t, opts, enginehost.Source{Module: path})
			}
		}
	}
}

// testGuest starts two instances of hello and calls each with requests that
// outgrow its first buffer.
func testGuest(t *testing.T, opts engine.Options, src enginehost.Source) {
	img := open(t, opts, src)
	for range 2 {
		inst := start(t, img)
		for _, n := range []int{1, 0, 200, 5000, 1 << 20, 10} {
			name := strings.Repeat("x", n)
			answer, err := inst.Call(t.Context(), []byte(name))
			if err != nil || string(answer) != "Hello, "+name+"!" {
				t.Errorf("%+v %+v: a request of %d bytes: answer of %d, error %v", opts, src, n, len(answer), err)
			}
		}
	}
}

func TestCallAllocatesNothing(t *testing.T) {
	inst := start(t, open(t, engine.Options{}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(wasmtest.Echo))}))
	request := []byte("request")
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { inst.Call(ctx, request) }); n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

func TestMemoryIsZeroForTheNextInstance(t *testing.T) {
	// Adds one to the number at 0x8000 and answers with it.
	count := []byte{
		0x41, 0x80, 0x80, 0x02, 0x41, 0x80, 0x80, 0x02, 0x28, 0x02, 0x00, 0x41, 0x01, 0x6a, 0x36, 0x02, 0x00,
		0x42, 0x04, 0x42, 0x80, 0x80, 0x02, 0x42, 0x20, 0x86, 0x84, // 4 | 0x8000<<32
	}
	img := open(t, engine.Options{}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(count))})
	for range 3 {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := inst.Call(t.Context(), nil)
		if err != nil || string(answer) != "\x01\x00\x00\x00" {
			t.Errorf("a new instance counts from %q, error %v", answer, err)
		}
		if err := inst.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHostileGuests(t *testing.T) {
	whole := wasmtest.Reactor(wasmtest.Echo)
	tests := []struct {
		name   string
		module []byte
		says   string
	}{
		{"truncated", whole[:len(whole)-3], "guest.wasm"},
		{"not a reactor", wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void}), "wasmbench_answer"},
		{"trap", wasmtest.Reactor(wasmtest.Trap), "unreachable"},
		{"answer outside memory", wasmtest.Reactor(wasmtest.Stray), "outside its memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := open(t, engine.Options{}, enginehost.Source{Module: wasmtest.Write(t, tt.module)})
			inst, err := img.Start(t.Context(), unmarked)
			if err == nil {
				_, err = inst.Call(t.Context(), []byte("request"))
				if cerr := inst.Close(); cerr != nil {
					t.Error(cerr)
				}
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v does not say %q", err, tt.says)
			}
		})
	}
	img := open(t, engine.Options{}, enginehost.Source{Module: "no/such.wasm"})
	if _, err := img.Start(t.Context(), unmarked); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing module gave %v", err)
	}
	inst := start(t, open(t, engine.Options{}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(wasmtest.Stray))}))
	if _, err := inst.Call(t.Context(), nil); !errors.As(err, new(*exchange.OutOfBoundsError)) {
		t.Errorf("an answer outside memory gave %v", err)
	}
}

func TestInterruptibleCallEndsWithItsContext(t *testing.T) {
	inst := start(t, open(t, engine.Options{Interruptible: true}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(wasmtest.Loop))}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := inst.Call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestMemoryLimit(t *testing.T) {
	// Answers with the result of memory.grow by the request's size in pages,
	// stored at address 0.
	grow := []byte{0x41, 0x00, 0x20, 0x00, 0x40, 0x00, 0x36, 0x02, 0x00, 0x42, 0x04}
	inst := start(t, open(t, engine.Options{MaxMemory: 4 << 16}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(grow))}))
	for _, tt := range []struct {
		pages int
		want  string
	}{{3, "\x01\x00\x00\x00"}, {1, "\xff\xff\xff\xff"}, {0, "\x04\x00\x00\x00"}} {
		answer, err := inst.Call(t.Context(), make([]byte, tt.pages))
		if err != nil || string(answer) != tt.want {
			t.Errorf("growing by %d pages: %q, error %v; want %q", tt.pages, answer, err, tt.want)
		}
	}
}

func TestClosedInstance(t *testing.T) {
	img := open(t, engine.Options{}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(wasmtest.Echo))})
	inst := start(t, img)
	if regions, err := inst.(runtime.Mapper).Regions(t.Context()); err != nil || len(regions) != 1 {
		t.Errorf("a live instance lies in %v, error %v", regions, err)
	}
	for range 2 {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
	if regions, err := inst.(runtime.Mapper).Regions(t.Context()); err == nil {
		t.Errorf("a closed instance lies in %v", regions)
	}
	next := start(t, img)
	if _, err := next.Call(t.Context(), []byte("next")); err != nil {
		t.Fatal(err)
	}
	if answer, err := inst.Call(t.Context(), []byte("closed")); err == nil {
		t.Errorf("a closed instance answers %q", answer)
	}
	if answer, err := next.Call(t.Context(), nil); err != nil || len(answer) != 0 {
		t.Errorf("the next instance answers %q, error %v", answer, err)
	}
}

// bare is a command without a memory.
var bare = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")

// private is a command with a memory of one page that it does not export.
var private = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x01\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b")

// A memory that cannot be had is an error, also where the module does not export
// it. The test's own process is the one that has no room.
func TestNoRoomForAMemory(t *testing.T) {
	if os.Getenv("ENGINE_TEST_NO_ROOM") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoRoomForAMemory$")
		cmd.Env = append(os.Environ(), "ENGINE_TEST_NO_ROOM=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	exporting := wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void})
	files := []string{wasmtest.Write(t, exporting), wasmtest.Write(t, private)}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: 1 << 30, Max: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	for i, path := range files {
		err := engine.New(engine.Options{MaxMemory: 2 << 30}).Run(t.Context(), enginehost.Source{Module: path}, func() {}, func([]runtime.Region) {})
		if e := (*runtime.Exhausted)(nil); !errors.As(err, &e) || e.Fix != "raise ulimit -d" {
			t.Errorf("module %d: error %v does not name what is used up", i, err)
		}
	}
}

// Run tells where a guest lies once it is there and before any of it has run.
func TestPlaced(t *testing.T) {
	trapping := wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void, Code: wasmtest.Trap})
	for _, opts := range []engine.Options{{}, {Interpreter: true}} {
		for _, tt := range []struct {
			name     string
			module   []byte
			memories int
			fails    bool
		}{{"trapping", trapping, 1, true}, {"with a memory of its own", private, 1, false}, {"without a memory", bare, 0, false}} {
			var told []string
			memories := 0
			err := engine.New(opts).Run(t.Context(), enginehost.Source{Module: wasmtest.Write(t, tt.module)}, func() { told = append(told, "loaded") }, func(regions []runtime.Region) {
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
