//go:build cgo

// Storehost is the engine host of Wasmtime for guests with a database, which this
// process holds beside Wasmtime.
package main

import (
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost/sqlite"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/host"
)

func main() { host.Main(sqlite.In) }
