// Package wasmedge runs guests on the WasmEdge engine, in host processes that
// this package builds at first use. Building them takes cgo, a C compiler and
// libwasmedge 0.14, which scripts/libwasmedge.sh installs.
package wasmedge

import (
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
)

var host, storeHost = newHost("host"), newHost("storehost")

// newHost returns a program below this package.
func newHost(program string) *engine.Host {
	return &engine.Host{Package: "runtime/wasmedge/" + program, CGO: true, Library: library}
}

// Precompiled returns the runtime "wasmedge": a process for each instance, with
// the module compiled ahead to a shared object.
func Precompiled() runtime.Runtime {
	return &engine.Runtime{Label: "wasmedge", Host: host, StoreHost: storeHost}
}

// Interpreter returns the runtime "wasmedge-interp": a process for each
// instance, which interprets the module.
func Interpreter() runtime.Runtime {
	return &engine.Runtime{Label: "wasmedge-interp", Host: host, StoreHost: storeHost, AtStart: true, Flags: []string{"-interpreter"}}
}

// Embedded returns the runtime "wasmedge-embedded": many instances in one
// process, which loads the compiled module once.
func Embedded() runtime.Runtime {
	return &engine.Runtime{Label: "wasmedge-embedded", Host: host, StoreHost: storeHost, Embedded: true}
}
