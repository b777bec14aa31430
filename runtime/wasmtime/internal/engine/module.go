//go:build cgo

package engine

// #include "glue.h"
import "C"

import (
	"context"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// A module is a guest in memory, from which instances are made.
type module interface {
	// open makes an instance and marks the phases from Create to Ready.
	open(ctx context.Context, mark marker) (runtime.Instance, error)
	// close forgets the module; its instances go on.
	close()
}

// A cModule is a module reached through capi.h.
type cModule struct {
	core *core
	c    C.wb_module
	code runtime.Region // which stays as long as there are instances
}

// checkReactor returns an error unless what a reactor must export is there.
func checkReactor(memory, request, answer bool) error {
	switch {
	case !memory:
		return &ExportError{exchange.Memory, "an unshared memory", reactorFix}
	case !request:
		return &ExportError{exchange.Request, "(i32) -> i32", reactorFix}
	case !answer:
		return &ExportError{exchange.Answer, "(i32) -> i64", reactorFix}
	}
	return nil
}

// reactor checks that the module is a reactor and links it.
func (m *cModule) reactor() error {
	if err := checkReactor(bool(m.c.memory), bool(m.c.request), bool(m.c.answer)); err != nil {
		return err
	}
	return m.link()
}

// command checks that the module is a command and links it.
func (m *cModule) command() error {
	if !m.c.entry {
		return &ExportError{exchange.Entry, "() -> ()", commandFix}
	}
	return m.link()
}

func (m *cModule) link() error {
	var linker *C.struct_wasmtime_linker
	if m.c.wasi || m.c.asks != nil {
		var err error
		if linker, err = m.core.linker(); err != nil {
			return err
		}
	}
	var f C.wb_failure
	if C.wb_module_link(&m.c, linker, &f) != C.WB_OK {
		return fmt.Errorf("linking: %w", failure(&f, nil))
	}
	return nil
}

// place notes where the module's code lies: the whole of the artefact that is
// mapped, or of what was compiled in memory.
func (m *cModule) place() {
	var start, end C.uintptr_t
	C.wb_module_code(&m.c, &start, &end)
	m.code = runtime.Region{Kind: runtime.ModuleCode, Start: uintptr(start), End: uintptr(end)}
}

// memoryAt is where a memory with this base address lies: Wasmtime reserves for
// each as much as a guest can address.
func memoryAt(base uintptr) runtime.Region {
	return runtime.Region{Kind: runtime.LinearMemory, Start: base, End: base + MaxMemory}
}

func (m *cModule) close() { C.wb_module_delete(&m.c) }
