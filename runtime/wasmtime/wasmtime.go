// Package wasmtime runs guests on the Wasmtime engine, in host processes that
// this package builds at first use. Building them takes cgo and a C compiler.
package wasmtime

import (
	"strconv"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
)

var (
	host      = &engine.Host{Package: "runtime/wasmtime/host", CGO: true}
	storeHost = &engine.Host{Package: "runtime/wasmtime/storehost", CGO: true}
)

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
	return &engine.Runtime{Label: "wasmtime", Host: host, StoreHost: storeHost}
}

// JIT returns the runtime "wasmtime-jit": a process for each instance, which
// compiles the module as it starts.
func JIT() runtime.Runtime {
	return &engine.Runtime{Label: "wasmtime-jit", Host: host, StoreHost: storeHost, AtStart: true}
}

// EmbeddedOptions choose how instances share a process. The zero value is the
// fast way.
type EmbeddedOptions struct {
	// API is how they are made and called; "" is Pooled.
	API API
	// MaxInstances is how many there may be at once with API Pooled, from 1 to
	// 1,048,576; 0 is 1,000. Of the address space each takes 4 GiB, whether it
	// is there or not: 14,000 fit always, 28,000 in about half of all processes.
	// A pool of more than 1,000 gives an instance's memory back when that is
	// closed rather than keep it for the next, whose start then takes longer.
	// One more than the pool has room for, and a pool that does not fit, is a
	// *runtime.Exhausted.
	MaxInstances int
}

// Embedded returns the runtime "wasmtime-embedded": many instances in one
// process, which loads the compiled module once.
func Embedded(o EmbeddedOptions) runtime.Runtime {
	if o.API == "" {
		o.API = Pooled
	}
	r := &engine.Runtime{
		Label: "wasmtime-embedded", Host: host, StoreHost: storeHost, Embedded: true,
		Tuning: []string{"-api=" + string(o.API), "-maxinstances=" + strconv.Itoa(o.MaxInstances)},
	}
	if o.API == Go {
		r.NoGuard = &runtime.Unavailable{
			What: "wasmtime-embedded with guards and API " + string(Go),
			Why:  "wasmtime-go cannot interrupt one instance and leave the others",
			Fix:  "choose API " + string(Pooled),
		}
	}
	return r
}
