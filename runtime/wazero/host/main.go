// Host is the engine host of wazero: a process that holds wazero and nothing
// else. The package runtime/wazero builds and drives it.
package main

import "github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/host"

func main() { host.Main(nil) }
