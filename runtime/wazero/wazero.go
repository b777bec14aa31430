// Package wazero runs guests on the wazero engine, in host processes that this
// package builds at first use.
package wazero

import (
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
)

var (
	host      = &engine.Host{Package: "runtime/wazero/host"}
	storeHost = &engine.Host{Package: "runtime/wazero/storehost"}
)

// Precompiled returns the runtime "wazero": a process for each instance, with
// the module in wazero's compilation cache.
func Precompiled() runtime.Runtime {
	return &engine.Runtime{Label: "wazero", Host: host, StoreHost: storeHost, ReadsModule: true}
}

// JIT returns the runtime "wazero-jit": a process for each instance, which
// compiles the module as it starts.
func JIT() runtime.Runtime {
	return &engine.Runtime{Label: "wazero-jit", Host: host, StoreHost: storeHost, AtStart: true}
}

// Interpreter returns the runtime "wazero-interp": a process for each instance,
// which interprets the module.
func Interpreter() runtime.Runtime {
	return &engine.Runtime{Label: "wazero-interp", Host: host, StoreHost: storeHost, AtStart: true, Flags: []string{"-interpreter"}}
}

// Embedded returns the runtime "wazero-embedded": many instances in one
// process, which compiles the module once.
func Embedded() runtime.Runtime {
	return &engine.Runtime{Label: "wazero-embedded", Host: host, StoreHost: storeHost, Embedded: true, ReadsModule: true}
}
