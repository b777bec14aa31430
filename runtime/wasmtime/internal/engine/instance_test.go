//go:build cgo

package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

func TestInterrupt(t *testing.T) {
	e := open(t, Options{Interruptible: true})
	img, err := e.Image(write(t, reactor(spinFirst)))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	cause := errors.New("time is up")
	bystander, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	defer bystander.Close()
	for range 3 {
		i, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
		if _, err := i.Call(t.Context(), []byte("returns")); err != nil {
			t.Error(err)
		}
		if _, err := i.Call(ctx, nil); !errors.Is(err, cause) {
			t.Errorf("the endless call ended with %v", err)
		}
		if _, err := i.Call(t.Context(), []byte("returns")); err != errInstanceFailed {
			t.Errorf("the call after the interrupted one: %v", err)
		}
		if _, err := img.Start(ctx, unmarked); !errors.Is(err, cause) {
			t.Errorf("Start after the end of its context: %v", err)
		}
		cancel()
		i.Close()
		if _, err := bystander.Call(t.Context(), []byte("returns")); err != nil {
			t.Errorf("another instance was stopped as well: %v", err)
		}
	}
	for _, with := range []string{`"_initialize") (loop (br 0)`, `"f")) (start $s) (func $s (loop (br 0)`} {
		img, err := e.Image(write(t, strings.Replace(reactor(echo), `"_initialize"`, with, 1)))
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
		defer cancel()
		if _, err := img.Start(ctx, unmarked); !errors.Is(err, cause) {
			t.Errorf("the endless start ended with %v", err)
		}
	}
}

// An instance that outlives its engine can still be interrupted, and what it
// needs for it goes with it.
func TestInterruptAfterClose(t *testing.T) {
	e := open(t, Options{Interruptible: true})
	img, err := e.Image(write(t, reactor(spinFirst)))
	if err != nil {
		t.Fatal(err)
	}
	i, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	core := e.pool
	if err := errors.Join(img.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	if n := core.users.Load(); n != 1 {
		t.Errorf("%d use the closed engine, want the one instance", n)
	}
	cause := errors.New("time is up")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
	defer cancel()
	if _, err := i.Call(ctx, nil); !errors.Is(err, cause) {
		t.Errorf("the endless call ended with %v", err)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if n := core.users.Load(); n != 0 {
		t.Errorf("%d use the engine when all is closed", n)
	}
	if err := core.take(); err != errClosed {
		t.Errorf("an instance of an engine that is gone: %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		i := mustStart(t, open(t, Options{API: api}), write(t, reactor(echo)))
		cause := errors.New("not any more")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := i.Call(ctx, nil); err != cause {
			t.Errorf("Call returned %v", err)
		}
		if _, err := i.Call(t.Context(), nil); err != nil {
			t.Errorf("the instance is unusable after a call that was never made: %v", err)
		}
	})
}

func TestPhasesAndUnload(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		img, err := open(t, Options{API: api}).Image(write(t, reactor(echo)))
		if err != nil {
			t.Fatal(err)
		}
		warm := []runtime.Phase{runtime.Create, runtime.Start, runtime.Ready}
		first := append([]runtime.Phase{runtime.Load}, warm...)
		var live runtime.Instance
		for n, want := range [][]runtime.Phase{first, warm, first} {
			if n == 2 {
				if err := img.(runtime.Unloader).Unload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var got []runtime.Phase
			i, err := img.Start(t.Context(), func(p runtime.Phase, _ time.Time) { got = append(got, p) })
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			if !slices.Equal(got, want) {
				t.Errorf("start %d marked %v, want %v", n, got, want)
			}
			live = i
		}
		for range 2 {
			if err := img.Close(); err != nil {
				t.Errorf("Close is not idempotent: %v", err)
			}
		}
		if _, err := live.Call(t.Context(), []byte("x")); err != nil {
			t.Errorf("an instance ended with its image: %v", err)
		}
		if _, err := img.Start(t.Context(), unmarked); err == nil {
			t.Error("a closed image started")
		}
	})
}

func TestConcurrentStarts(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		img, err := open(t, Options{API: api}).Image(write(t, reactor(echo)))
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				want := []byte(strconv.Itoa(n))
				for range 50 {
					i, err := img.Start(t.Context(), unmarked)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := i.Call(t.Context(), want); err != nil || !bytes.Equal(got, want) {
						t.Errorf("Call returned %q, %v", got, err)
					}
					i.Close()
				}
			})
		}
		all.Wait()
	})
}

// buildGo compiles a Go program to a module with the flags given.
func buildGo(tb testing.TB, source string, flags ...string) enginehost.Source {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		tb.Fatal(err)
	}
	module := filepath.Join(dir, "guest.wasm")
	args := append([]string{"build", "-o", module}, flags...)
	cmd := exec.CommandContext(tb.Context(), "go", append(args, file)...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return enginehost.Source{Module: module}
}

const goEcho = `package main

import ("bytes"; "fmt"; "unsafe")

var buf, out []byte

//go:wasmexport wasmbench_request
func request(n int32) int32 {
	buf = make([]byte, n)
	return int32(uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
}

//go:wasmexport wasmbench_answer
func answer(n int32) int64 {
	out = bytes.ToUpper(fmt.Append(nil, string(buf[:n])))
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(out))))<<32 | int64(len(out))
}

func main() {}
`

func TestGoReactor(t *testing.T) {
	src := buildGo(t, goEcho, "-buildmode=c-shared")
	apis(t, func(t *testing.T, api API) {
		e := open(t, Options{API: api})
		compiled := src
		compiled.Artifact = filepath.Join(t.TempDir(), "guest.cwasm")
		if err := e.Compile(t.Context(), src.Module, compiled.Artifact); err != nil {
			t.Fatal(err)
		}
		img, err := e.Image(compiled)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		for range 20 { // slots are used again
			i, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if got, err := i.Call(t.Context(), []byte("hello")); err != nil || string(got) != "HELLO" {
					t.Fatalf("Call returned %q, %v", got, err)
				}
			}
			i.Close()
		}
	})
}

func TestManyInstances(t *testing.T) {
	const live, all = 2000, 10000
	e := open(t, Options{MaxInstances: live})
	img, err := e.Image(write(t, reactor(echo)))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	var open []runtime.Instance
	for range live {
		i, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatalf("instance %d: %v", len(open), err)
		}
		open = append(open, i)
	}
	if _, err := img.Start(t.Context(), unmarked); err == nil || !strings.Contains(err.Error(), strconv.Itoa(live)) {
		t.Errorf("an instance more than MaxInstances: %v", err)
	}
	for _, i := range open {
		i.Close()
	}
	cycle := func() {
		for range all {
			i, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			i.Close()
		}
	}
	cycle()
	before := resident(t)
	cycle()
	if grown := resident(t) - before; grown > 4<<20 {
		t.Errorf("%d starts and closes left %d bytes behind", all, grown)
	}
}

// resident returns the resident memory of this process in bytes.
func resident(t *testing.T) int {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(stat))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// Those that a full pool refuses are never counted, for then they would keep out
// one for which there is room.
func TestRefusedAreNotCounted(t *testing.T) {
	c := &core{slots: 2}
	c.users.Store(1)
	for range 2 {
		if err := c.take(); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100_000 {
				if c.take() == nil {
					t.Error("a full pool has room")
					return
				}
				if n := c.users.Load() - 1; n != 2 {
					t.Errorf("%d are counted in a pool of 2", n)
					return
				}
			}
		})
	}
	wg.Wait()
}
