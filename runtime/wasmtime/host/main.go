//go:build cgo

// Host is the engine host of Wasmtime: a process that holds Wasmtime and
// nothing else. The package runtime/wasmtime builds and drives it.
package main

import "github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/host"

func main() { host.Main(nil) }
