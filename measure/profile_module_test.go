package measure_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// A growing is a workload whose module grows its memory by pages of 64 KiB and
// writes all of them: as a command before it says that it is ready, as a reactor
// when it is asked.
type growing struct{ command, reactor string }

func newGrowing(t *testing.T, pages int64) growing {
	t.Helper()
	dir := t.TempDir()
	g := growing{filepath.Join(dir, "command.wasm"), filepath.Join(dir, "reactor.wasm")}
	for path, module := range map[string][]byte{g.command: growingCommand(pages), g.reactor: growingReactor(pages)} {
		if err := os.WriteFile(path, module, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (growing) Name() string       { return "growing" }
func (growing) Request() []byte    { return nil }
func (growing) Check([]byte) error { return nil }

func (g growing) Artifact(_ context.Context, f workload.Form) (string, error) {
	if f == workload.Command {
		return g.command, nil
	}
	return g.reactor, nil
}

// grow is memory.grow and memory.fill from the first page on.
func grow(pages int64) []byte {
	code := append([]byte{0x41}, signed(pages)...)
	code = append(code, 0x40, 0, 0x1a)
	code = append(append(code, 0x41), signed(1<<16)...)
	code = append(code, 0x41, 1, 0x41)
	code = append(code, signed(pages<<16)...)
	return append(code, 0xfc, 11, 0)
}

// growingCommand greets with fd_write and waits in fd_read until its input ends.
func growingCommand(pages int64) []byte {
	wasi := func(name string) []byte { return join(text("wasi_snapshot_preview1"), text(name), []byte{0, 1}) }
	onFile := func(file, list, function byte) []byte {
		return []byte{0x41, file, 0x41, list, 0x41, 1, 0x41, 0, 0x10, function, 0x1a}
	}
	return module([][]byte{
		section(1, vector([]byte{0x60, 0, 0}, []byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f})),
		section(2, vector(wasi("fd_write"), wasi("fd_read"))),
		section(3, vector([]byte{0})),
		section(5, vector([]byte{0, 1})),
		section(7, vector(join(text("memory"), []byte{2, 0}), join(text("_start"), []byte{0, 2}))),
		section(10, vector(body(grow(pages), onFile(1, 8, 0), onFile(0, 24, 1)))),
		section(11, vector(join([]byte{0, 0x41, 8, 0x0b}, text("\x10\x00\x00\x00\x04\x00\x00\x00wb1\n\x00\x00\x00\x00\x20\x00\x00\x00\x04\x00\x00\x00")))),
	}...)
}

// growingReactor answers with nothing.
func growingReactor(pages int64) []byte {
	return module([][]byte{
		section(1, vector([]byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 1, 0x7f, 1, 0x7e})),
		section(3, vector([]byte{0}, []byte{1})),
		section(5, vector([]byte{0, 1})),
		section(7, vector(join(text("memory"), []byte{2, 0}), join(text("wasmbench_request"), []byte{0, 0}), join(text("wasmbench_answer"), []byte{0, 1}))),
		section(10, vector(body([]byte{0x41, 16}), body(grow(pages), []byte{0x42}, signed(16<<32)))),
	}...)
}

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), join(sections...)...)
}

func section(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

// vector counts its parts, body is a function without locals.
func vector(parts ...[]byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(parts))), join(parts...)...)
}
func body(code ...[]byte) []byte { return sized(join([]byte{0}, join(code...), []byte{0x0b})) }
func text(s string) []byte       { return sized([]byte(s)) }
func sized(b []byte) []byte      { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// signed encodes a number as LEB128.
func signed(v int64) (b []byte) {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
