//go:build cgo && wasmedge

// Host is the engine host of WasmEdge: a process that holds WasmEdge and
// nothing else. The package runtime/wasmedge builds and drives it.
package main

import "github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/host"

func main() { host.Main(nil) }
