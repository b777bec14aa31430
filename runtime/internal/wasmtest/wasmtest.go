// Package wasmtest assembles small modules for tests: guests that no compiler
// would make.
package wasmtest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// A Func is an exported function without parameters but those of its type.
type Func struct {
	Name string
	Type Type
	Code []byte // instructions, without the final end
}

// A Type is the type of a function.
type Type byte

const (
	Void     Type = iota // () -> ()
	I32ToI32             // (i32) -> i32
	I32ToI64             // (i32) -> i64
	pathOpen             // of WASI's path_open
	sql                  // of the functions of a database
	sqlAgain
	pathUnlinkFile
	pathSymlink
)

var types = []byte{
	8,
	0x60, 0, 0,
	0x60, 1, 0x7f, 1, 0x7f,
	0x60, 1, 0x7f, 1, 0x7e,
	0x60, 9, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7e, 0x7e, 0x7f, 0x7f, 1, 0x7f,
	0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f,
	0x60, 2, 0x7f, 0x7f, 1, 0x7f,
	0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f,
	0x60, 5, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f,
}

// Instructions of hostile and of harmless guests.
var (
	Loop  = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b, 0x00}                   // loop br 0 end unreachable
	Trap  = []byte{0x00}                                                 // unreachable
	At16  = []byte{0x41, 0x10}                                           // i32.const 16
	Echo  = []byte{0x20, 0x00, 0xad, 0x42, 0x10, 0x42, 0x20, 0x86, 0x84} // i64(size) | 16<<32
	Stray = append([]byte{0x42}, sleb(0x7fffffff_00000010)...)           // an answer outside the memory
)

// Reactor returns a reactor whose wasmbench_answer has the code. Its request
// buffer is at address 16.
func Reactor(answer []byte) []byte {
	return Module(Func{"wasmbench_request", I32ToI32, At16}, Func{"wasmbench_answer", I32ToI64, answer})
}

// EchoWeb is the code of a guest that serves HTTP as package workload/guests/go/web
// has it: it answers with status 200 and what it was asked as a plain text.
func EchoWeb() []byte {
	const head = "200 text/plain\n" // which ends where the request begins
	at := byte(16 - len(head))
	var code []byte
	for i, c := range []byte(head) {
		code = append(append(code, 0x41, at+byte(i), 0x41), sleb(int64(c))...)
		code = append(code, 0x3a, 0, 0) // i32.store8
	}
	code = append(code, 0x20, 0, 0xad, 0x42, byte(len(head)), 0x7c, 0x42) // i64(size) + length, i64.const
	return append(append(code, sleb(int64(at)<<32)...), 0x84)
}

// Module returns a module that exports a memory of one page and the functions.
func Module(funcs ...Func) []byte { return module(nil, funcs) }

// An imported function.
type imported struct {
	from string // the module
	name string
	kind Type
}

// module returns a module whose first functions are the imports.
func module(imports []imported, funcs []Func) []byte {
	n := uint64(len(funcs))
	from := uleb(uint64(len(imports)))
	for _, f := range imports {
		from = append(append(from, name(f.from)...), name(f.name)...)
		from = append(from, 0, byte(f.kind))
	}
	declared, code := uleb(n), uleb(n)
	exports := append(uleb(n+1), name("memory")...)
	exports = append(exports, 2, 0)
	for i, f := range funcs {
		declared = append(declared, byte(f.Type))
		exports = append(append(exports, name(f.Name)...), 0, byte(len(imports)+i))
		body := append(append([]byte{0}, f.Code...), 0x0b)
		code = append(append(code, uleb(uint64(len(body)))...), body...)
	}
	m := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []struct {
		id   byte
		body []byte
	}{{1, types}, {2, from}, {3, declared}, {5, []byte{1, 0, 1}}, {7, exports}, {10, code}} {
		m = append(append(append(m, s.id), uleb(uint64(len(s.body)))...), s.body...)
	}
	return m
}

// ManyLocals returns a module of a few dozen bytes whose function declares
// almost 2^32 local variables.
func ManyLocals() []byte {
	m := []byte("\x00asm\x01\x00\x00\x00")
	m = append(m, 1, 4, 1, 0x60, 0, 0)
	m = append(m, 3, 2, 1, 0)
	m = append(m, 7, 10, 1, 6, '_', 's', 't', 'a', 'r', 't', 0, 0)
	return append(m, 10, 10, 1, 8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7e, 0x0b)
}

// Write puts a module into a file that lives as long as the test.
func Write(t testing.TB, module []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest.wasm")
	if err := os.WriteFile(path, module, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func name(s string) []byte { return append(uleb(uint64(len(s))), s...) }

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

// sleb encodes a signed number.
func sleb(v int64) (b []byte) {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
