// Storehost is the engine host of wazero for guests with a database, which this
// process holds beside wazero.
package main

import (
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost/sqlite"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/host"
)

func main() { host.Main(sqlite.In) }
