//go:build cgo && wasmedge

// Storehost is the engine host of WasmEdge for guests with a database, which this
// process holds beside WasmEdge.
package main

import (
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost/sqlite"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/host"
)

func main() { host.Main(sqlite.In) }
