//go:build cgo

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// A scripted store answers by a function, and counts its open sessions.
type scripted struct {
	do   func(request []byte) []byte
	open atomic.Int64
	all  atomic.Int64
}

func (s *scripted) Open() error { return nil }

func (s *scripted) Session() (enginehost.Session, error) {
	s.open.Add(1)
	s.all.Add(1)
	return scriptedSession{s}, nil
}

func (s *scripted) Close() error { return nil }

type scriptedSession struct{ *scripted }

func (s scriptedSession) Do(dst, request []byte) []byte { return append(dst, s.do(request)...) }

func (s scriptedSession) Rest() (bool, error) { return false, nil }

func (s scriptedSession) Close() error {
	s.open.Add(-1)
	return nil
}

const imports = `(module
	(import "wasmbench" "sql" (func $sql (param i32 i32 i32 i32) (result i32)))
	(import "wasmbench" "sql_again" (func $again (param i32 i32) (result i32)))`

// asking is a reactor that can ask the store, and whose answer is the text given.
func asking(answer string) string { return strings.Replace(reactor(answer), "(module", imports, 1) }

// relayed asks the store what it is asked and answers with what it says.
const relayed = `(i64.or (i64.const 0x400_00000000)
	(i64.extend_i32_u (call $sql (i32.const 65536) (local.get 0) (i32.const 1024) (i32.const 60000))))`

// afar grows the memory by 100 MiB and has the store read and write at its end.
const afar = `(drop (memory.grow (i32.const 1600)))
	(memory.copy (i32.const 104900000) (i32.const 65536) (local.get 0))
	(i64.or (i64.shl (i64.const 104923136) (i64.const 32))
		(i64.extend_i32_u (call $sql (i32.const 104900000) (local.get 0) (i32.const 104923136) (i32.const 65536))))`

func upper(request []byte) []byte { return bytes.ToUpper(request) }

func TestStoreInGrownMemory(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		i := mustStart(t, open(t, Options{API: api, Store: &scripted{do: upper}}), write(t, asking(afar)))
		for range 3 { // and again when it has grown more
			if got, err := i.Call(t.Context(), []byte("from afar")); err != nil || string(got) != "FROM AFAR" {
				t.Errorf("the answer is %q, error %v", got, err)
			}
		}
	})
}

// A guest may ask before it is called, and is refused then as at any time.
func TestStoreAtStart(t *testing.T) {
	const early = `(func $early (drop (call $sql (i32.const 1024) (i32.const 4) (i32.const %d) (i32.const 4))))`
	for name, with := range map[string]string{
		"_initialize": `(func (export "_initialize") (call $early))`,
		"start":       `(start $early)`,
	} {
		wat := strings.Replace(asking(`(i64.const 0x800_00000004)`), `(func (export "_initialize"))`, early+with, 1)
		apis(t, func(t *testing.T, api API) {
			s := &scripted{do: upper}
			e := open(t, Options{API: api, Store: s})
			i := mustStart(t, e, write(t, fmt.Sprintf(wat, 2048)))
			if got, err := i.Call(t.Context(), nil); err != nil || string(got) != "DATA" {
				t.Errorf("%s: the answer is %q, error %v", name, got, err)
			}
			var trapped *TrapError
			if _, err := start(t, e, write(t, fmt.Sprintf(wat, 1<<30))); !errors.As(err, &trapped) || !strings.Contains(err.Error(), "outside the guest's memory") {
				t.Errorf("%s: one that is refused: %v", name, err)
			}
			if n := s.open.Load(); n != 1 {
				t.Errorf("%s: %d sessions are open, of one instance", name, n)
			}
		})
	}
}

// What a guest imports of the store is what there is, of the right type.
func TestStoreImports(t *testing.T) {
	for _, wat := range []string{
		strings.Replace(asking(relayed), `"sql_again"`, `"sql_more"`, 1),
		strings.Replace(asking(relayed), `$again (param i32 i32)`, `$again (param i32 i64)`, 1),
		strings.Replace(asking(relayed), `"sql_again" (func $again (param i32 i32) (result i32))`, `"sql_again" (memory 1)`, 1),
	} {
		apis(t, func(t *testing.T, api API) {
			if _, err := start(t, open(t, Options{API: api, Store: new(scripted)}), write(t, wat)); err == nil || !strings.Contains(err.Error(), "sql_") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// deep takes stack, so that the goroutine's moves.
func deep(n int) int {
	var block [256]byte
	if n == 0 {
		return len(block)
	}
	return deep(n-1) + int(block[n%len(block)])
}

// The stack on which a request lies may move while its instance asks.
func TestStoreMovesTheStack(t *testing.T) {
	var depth atomic.Int64
	s := &scripted{do: func(request []byte) []byte {
		deep(int(depth.Add(500)))
		return upper(request)
	}}
	img, err := open(t, Options{Store: s}).Image(write(t, asking(relayed)))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	for n := range 20 {
		done := make(chan struct{})
		go func() { // which has a small stack
			defer close(done)
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Error(err)
				return
			}
			defer inst.Close()
			var request [40]byte
			copy(request[:], fmt.Sprintf("request %02d of those that lie on a stack.", n))
			got, err := inst.(*cInstance).Call(t.Context(), request[:])
			if want := bytes.ToUpper(request[:]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the answer is %q, error %v", got, err)
			}
		}()
		<-done
	}
}

// The session of a command ends with it, however that ends.
func TestStoreOfACommand(t *testing.T) {
	const ask = `(drop (call $sql (i32.const 0) (i32.const 4) (i32.const 8) (i32.const 4)))`
	const exit = `(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))`
	for _, tt := range []struct{ name, wat, want string }{
		{"returns", imports + `(memory (export "memory") 1) (func (export "_start") ` + ask + `))`, ""},
		{"exits", imports + exit + `(memory (export "memory") 1) (func (export "_start") ` + ask + ` (call $exit (i32.const 3))))`, "status 3"},
		{"traps", imports + `(memory (export "memory") 1) (func (export "_start") ` + ask + ` unreachable))`, "unreachable"},
		{"without a memory", imports + `(memory 1) (func (export "_start") ` + ask + `))`, "exports no unshared memory"},
		{"with another export of that name", imports + `(memory 1) (func (export "memory")) (func (export "_start") ` + ask + `))`, "exports no unshared memory"},
	} {
		s := &scripted{do: upper}
		err := open(t, Options{Store: s}).Run(t.Context(), write(t, tt.wat), func() {}, func([]runtime.Region) {})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		sessions := int64(1)
		if strings.Contains(tt.want, "memory") {
			sessions = 0
		}
		if all, open := s.all.Load(), s.open.Load(); all != sessions || open != 0 {
			t.Errorf("%s: %d sessions of which %d are open", tt.name, all, open)
		}
	}
}
