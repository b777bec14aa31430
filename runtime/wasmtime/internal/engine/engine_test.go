//go:build cgo

package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

func unmarked(runtime.Phase, time.Time) {}

// apis runs a test with each API.
func apis(t *testing.T, test func(*testing.T, API)) {
	for _, api := range []API{Pooled, Go} {
		t.Run("api="+api.String(), func(t *testing.T) { test(t, api) })
	}
}

// start starts an image of src, both of which the test closes.
func start(tb testing.TB, e *Engine, src enginehost.Source) (runtime.Instance, error) {
	tb.Helper()
	img, err := e.Image(src)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { img.Close() })
	i, err := img.Start(context.Background(), unmarked)
	if err == nil {
		tb.Cleanup(func() { i.Close() })
	}
	return i, err
}

func mustStart(tb testing.TB, e *Engine, src enginehost.Source) runtime.Instance {
	tb.Helper()
	i, err := start(tb, e, src)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

func TestEcho(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		e := open(t, Options{API: api})
		src := write(t, reactor(echo))
		compiled := src
		compiled.Artifact = filepath.Join(t.TempDir(), "guest.cwasm")
		if err := e.Compile(t.Context(), src.Module, compiled.Artifact); err != nil {
			t.Fatal(err)
		}
		for _, src := range []enginehost.Source{src, compiled} {
			i := mustStart(t, e, src)
			for _, size := range []int{0, 5, 4096, 65536, 1} {
				want := bytes.Repeat([]byte("x"), size)
				got, err := i.Call(t.Context(), want)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("Call with %d bytes returned %d bytes, %v", size, len(got), err)
				}
			}
			if own := i.Scope().Own; len(own) != 1 || own[0] != os.Getpid() {
				t.Errorf("Scope is %v", own)
			}
			if _, err := i.Call(t.Context(), make([]byte, 65537)); !errors.Is(err, errGuestRoom) {
				t.Errorf("Call beyond the guest's room: %v", err)
			}
			i.Close()
			i.Close()
			if _, err := i.Call(t.Context(), nil); err != errInstanceClosed {
				t.Errorf("Call after Close: %v", err)
			}
		}
	})
}

func TestTraps(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		e := open(t, Options{API: api})
		for _, test := range []struct{ name, body, want string }{
			{"unreachable", trap, "`unreachable` instruction executed"},
			{"stack", recurse, "call stack exhausted"},
			{"memory", load, "out of bounds memory access"},
			{"divide", divide, "integer divide by zero"},
		} {
			i := mustStart(t, e, write(t, reactor(test.body)))
			_, err := i.Call(t.Context(), nil)
			var trapped *TrapError
			if !errors.As(err, &trapped) || !strings.Contains(trapped.Trap, test.want) {
				t.Errorf("%s: error %v, want a trap with %q", test.name, err, test.want)
			}
			if _, err := i.Call(t.Context(), nil); err != errInstanceFailed {
				t.Errorf("%s: the call after the trap: %v", test.name, err)
			}
		}
	})
}

func TestOutOfBounds(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		e := open(t, Options{API: api})
		for _, test := range []struct {
			name, wat string
			want      exchange.OutOfBoundsError
		}{
			{"answer", reactor(outside), exchange.OutOfBoundsError{What: "answer", Ptr: 0x1fff0, Size: 0x20, Memory: 2 * pageSize}},
			{"long", reactor(tooLong), exchange.OutOfBoundsError{What: "answer", Size: 0xffffffff, Memory: 2 * pageSize}},
			{"buffer", strings.Replace(reactor(echo), "(i32.const 65536))\n", "(i32.const -1))\n", 1),
				exchange.OutOfBoundsError{What: "buffer", Ptr: 0xffffffff, Size: firstBuffer, Memory: 2 * pageSize}},
		} {
			i, err := start(t, e, write(t, test.wat))
			if err == nil {
				_, err = i.Call(t.Context(), nil)
			}
			var got *exchange.OutOfBoundsError
			if !errors.As(err, &got) || *got != test.want {
				t.Errorf("%s: error %v, want %v", test.name, err, &test.want)
			}
		}
	})
}

func TestMemoryLimit(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		for _, test := range []struct {
			limit uint64
			body  string
			want  int64
		}{
			{0, growAll, 2},
			{16 * pageSize, growALot, 2},
			{16*pageSize - 1, growALot, -1},
			{16 * pageSize, growAll, -1},
		} {
			e := open(t, Options{API: api, MaxMemory: test.limit})
			got, err := mustStart(t, e, write(t, reactor(test.body))).Call(t.Context(), nil)
			if err != nil || int64(binary.LittleEndian.Uint64(got)) != test.want {
				t.Errorf("memory.grow with limit %d: %v %v, want %d", test.limit, got, err, test.want)
			}
		}
		e := open(t, Options{API: api, MaxMemory: pageSize})
		if _, err := start(t, e, write(t, reactor(echo))); err == nil {
			t.Error("a module with a larger memory than the limit was started")
		}
	})
}

func TestNotAReactor(t *testing.T) {
	whole := reactor(echo)
	without := func(what string) string {
		return strings.Replace(whole, `(export "`+what+`")`, "", 1)
	}
	for _, test := range []struct{ name, wat, want string }{
		{"memory", without("memory"), exchange.Memory},
		{"request", without(exchange.Request), exchange.Request},
		{"answer", without(exchange.Answer), exchange.Answer},
		{"answer type", strings.ReplaceAll(without(exchange.Answer), "_initialize", exchange.Answer), exchange.Answer},
		{"function as memory", strings.ReplaceAll(without("memory"), "_initialize", "memory"), exchange.Memory},
		{"shared memory", strings.Replace(whole, `"memory") 2`, `"memory") 2 2 shared`, 1), exchange.Memory},
		{"command", `(module (func (export "_start")))`, exchange.Memory},
	} {
		t.Run(test.name, func(t *testing.T) {
			apis(t, func(t *testing.T, api API) {
				_, err := start(t, open(t, Options{API: api}), write(t, test.wat))
				var missing *ExportError
				if err == nil || errors.As(err, &missing) && missing.Name != test.want {
					t.Errorf("error %v, want a missing %s", err, test.want)
				} else if missing == nil && test.name != "shared memory" {
					t.Errorf("error %v is no ExportError", err)
				}
			})
		})
	}
}

func TestUnusableFiles(t *testing.T) {
	e := open(t, Options{})
	whole := write(t, reactor(echo))
	code := filepath.Join(t.TempDir(), "guest.cwasm")
	if err := e.Compile(t.Context(), whole.Module, code); err != nil {
		t.Fatal(err)
	}
	wasm, _ := os.ReadFile(whole.Module)
	cwasm, _ := os.ReadFile(code)
	interruptible := filepath.Join(t.TempDir(), "other.cwasm")
	if err := open(t, Options{Interruptible: true}).Compile(t.Context(), whole.Module, interruptible); err != nil {
		t.Fatal(err)
	}
	stale := bytes.Replace(cwasm, []byte("\x0239"), []byte("\x0238"), 1)
	for _, test := range []struct {
		name string
		src  enginehost.Source
	}{
		{"empty", store(t, nil)},
		{"no module", store(t, []byte("text"))},
		{"truncated module", store(t, wasm[:len(wasm)/2])},
		{"unknown import", write(t, strings.Replace(reactor(echo), "(module", `(module (import "env" "f" (func))`, 1))},
		{"empty artefact", enginehost.Source{Artifact: store(t, nil).Module}},
		{"truncated artefact", enginehost.Source{Artifact: store(t, cwasm[:len(cwasm)/2]).Module}},
		{"artefact of text", enginehost.Source{Artifact: store(t, bytes.Repeat([]byte("text"), 9999)).Module}},
		{"module as artefact", enginehost.Source{Artifact: whole.Module}},
		{"stale artefact", enginehost.Source{Artifact: store(t, stale).Module}},
		{"artefact of other options", enginehost.Source{Artifact: interruptible}},
	} {
		apis(t, func(t *testing.T, api API) {
			_, err := start(t, open(t, Options{API: api}), test.src)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v", test.name, err)
			}
		})
	}
	if _, err := e.Image(enginehost.Source{Module: "absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent module: %v", err)
	}
	if err := e.Compile(t.Context(), "absent", code); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("compiling an absent module: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{API: 7}, {MaxMemory: 1}, {MaxMemory: MaxMemory + pageSize}, {API: Go, Interruptible: true}} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) returned no error", o)
		}
	}
	e := open(t, Options{MaxInstances: 1 << 20})
	if _, err := start(t, e, write(t, reactor(echo))); err == nil || !strings.Contains(err.Error(), "MaxInstances") {
		t.Errorf("a pool beyond the address space: %v", err)
	}
	for held, says := range map[bool]string{true: "a pool of", false: "on demand"} {
		info, err := e.Info(held)
		if err != nil || !strings.HasSuffix(info.Version, declared) || !strings.Contains(info.Settings, says) {
			t.Errorf("Info(%t) returned %+v, %v", held, info, err)
		}
	}
	if compatible("v39.0.2") == nil || compatible(declared) != nil || compatible("") != nil {
		t.Error("compatible takes another version than the one declared")
	}
}
