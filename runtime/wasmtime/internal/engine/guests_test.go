//go:build cgo

package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// A reactor with room for requests at 64 KiB, whose answer is the text given.
// It has two pages and a data segment, as a small guest by clang has.
func reactor(answer string) string {
	return `(module
	(memory (export "memory") 2)
	(data (i32.const 1024) "data of a guest")
	(func (export "wasmbench_request") (param i32) (result i32)
		(if (i32.gt_u (local.get 0) (i32.const 65536)) (then (return (i32.const 0))))
		(i32.const 65536))
	(func (export "_initialize"))
	(func $answer (export "wasmbench_answer") (param i32) (result i64) ` + answer + `))`
}

// Bodies of wasmbench_answer.
const (
	echo      = `(i64.or (i64.const 0x1000000000000) (i64.extend_i32_u (local.get 0)))`
	spin      = `(loop (br 0)) (i64.const 0)`
	trap      = `(unreachable)`
	recurse   = `(call $answer (local.get 0))`
	load      = `(i64.load (i32.const -8))`
	divide    = `(i64.div_u (i64.const 1) (i64.const 0))`
	outside   = `(i64.const 0x1fff0_00000020)`
	tooLong   = `(i64.const 0x0_ffffffff)`
	growAll   = `(i64.store (i32.const 8) (i64.extend_i32_s (memory.grow (i32.const 65000)))) (i64.const 0x8_00000008)`
	growALot  = `(i64.store (i32.const 8) (i64.extend_i32_s (memory.grow (i32.const 14)))) (i64.const 0x8_00000008)`
	spinFirst = `(if (i32.eqz (local.get 0)) (then (loop (br 0)))) (i64.const 0x1000000000000)`
)

// write compiles the text format and returns a file with the module.
func write(tb testing.TB, wat string) enginehost.Source {
	tb.Helper()
	wasm, err := wasmtime.Wat2Wasm(wat)
	if err != nil {
		tb.Fatal(err)
	}
	return store(tb, wasm)
}

func store(tb testing.TB, wasm []byte) enginehost.Source {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "guest.wasm")
	if err := os.WriteFile(file, wasm, 0o644); err != nil {
		tb.Fatal(err)
	}
	return enginehost.Source{Module: file}
}

// open returns an engine that the test closes. Its pool is small unless the
// options say otherwise.
func open(tb testing.TB, o Options) *Engine {
	tb.Helper()
	if o.MaxInstances == 0 {
		o.MaxInstances = 50
	}
	e, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}
