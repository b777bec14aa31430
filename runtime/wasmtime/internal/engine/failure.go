//go:build cgo

package engine

// #include <stdlib.h>
// #include "glue.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// A TrapError is a guest that Wasmtime stopped because of what it did. The
// instance can only be closed.
type TrapError struct {
	Trap  string // what it did, in Wasmtime's words
	Trace string // the guest's frames, innermost first, or ""
	Err   error  // where its host refused what it asked, why; else nil
}

func (e *TrapError) Error() string {
	if e.Trace == "" {
		return "the guest trapped: " + e.Trap
	}
	return "the guest trapped: " + e.Trap + " at " + e.Trace
}

// Unwrap returns Err.
func (e *TrapError) Unwrap() error { return e.Err }

// An ExitError is a guest that ended itself with a status other than 0, or a
// reactor that ended itself at all.
type ExitError struct{ Status int }

func (e *ExitError) Error() string { return fmt.Sprintf("the guest exited with status %d", e.Status) }

// An ExportError is a module without an export that it must have.
type ExportError struct {
	Name string // of the export
	Type string // that it must have
	Fix  string // how to get it
}

func (e *ExportError) Error() string {
	return fmt.Sprintf("the module does not export %s as %s: %s", e.Name, e.Type, e.Fix)
}

const (
	reactorFix = "build it as a reactor, with clang -mexec-model=reactor or go build -buildmode=c-shared"
	commandFix = "build it as a command, the default of clang and of go build"
)

// errGuestRoom is a guest that returned no buffer.
var errGuestRoom = errors.New("the guest has no room for the request: " + exchange.Request + " returned 0")

// failure turns what Wasmtime returned into an error and frees it; refused is as
// for failed.
func failure(f *C.wb_failure, refused error) error {
	var trapped C.bool
	var status C.int
	s := C.wb_failure_text(f, &trapped, &status)
	if s == nil {
		return errNoMemory
	}
	defer C.free(unsafe.Pointer(s))
	return failed(C.GoString(s), bool(trapped), int(status), refused)
}

// failed words a failure: a trap, an exit with a status of 0 or more, or
// anything else. Where the host refused what the guest asked, refused is why: that
// is a trap too, which the C API does not tell from other errors.
func failed(text string, trapped bool, status int, refused error) error {
	if status >= 0 {
		return &ExitError{Status: status}
	}
	text, _, _ = strings.Cut(text, "\n\nStack backtrace:")
	if !trapped && refused == nil {
		return errors.New(oneLine(strings.ReplaceAll(text, "\n\nCaused by:\n", ": ")))
	}
	trace, cause, ok := strings.Cut(text, "Caused by:")
	if !ok {
		trace, cause = "", text
	}
	_, trace, _ = strings.Cut(trace, "wasm backtrace:")
	if refused != nil {
		cause = refused.Error()
	}
	return &TrapError{
		Trap:  strings.TrimPrefix(oneLine(cause), "wasm trap: "),
		Trace: oneLine(trace),
		Err:   refused,
	}
}

// oneLine joins the lines of a text, which ends before it gets long.
func oneLine(text string) string {
	const most = 500
	line := strings.Join(strings.Fields(text), " ")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "..."
	}
	return line
}
