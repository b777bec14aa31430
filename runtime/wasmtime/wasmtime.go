// Package wasmtime runs guests on the Wasmtime engine, in host processes that
// this package builds at first use. Building them takes cgo and a C compiler.
package wasmtime

import (
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
)

var host = &engine.Host{Package: "runtime/wasmtime/host", CGO: true}

// An API is the way in which instances that share a process are made and called.
type API string

const (
	// Pooled calls Wasmtime's C API directly: a pooling allocator, unchecked
	// calls, one crossing into C for an exchange.
	Pooled API = "pooled"
	// Go is the public API of wasmtime-go.
	Go API = "go"
)

// Precompiled returns the runtime "wasmtime": a process for each instance, with
// the module compiled ahead to a .cwasm file.
func Precompiled() runtime.Runtime {
	return &engine.Runtime{Label: "wasmtime", Host: host}
}

// JIT returns the runtime "wasmtime-jit": a process for each instance, which
// compiles the module as it starts.
func JIT() runtime.Runtime {
	return &engine.Runtime{Label: "wasmtime-jit", Host: host, AtStart: true}
}

// Embedded returns the runtime "wasmtime-embedded": many instances in one
// process, which loads the compiled module once. The empty API is Pooled.
func Embedded(api API) runtime.Runtime {
	if api == "" {
		api = Pooled
	}
	return &engine.Runtime{Label: "wasmtime-embedded", Host: host, Embedded: true, Flags: []string{"-api=" + string(api)}}
}
