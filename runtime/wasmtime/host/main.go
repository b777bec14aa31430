//go:build cgo

// Host is the engine host of Wasmtime: a process that holds Wasmtime and
// nothing else. The package runtime/wasmtime builds and drives it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/engine"
)

func main() {
	var opts engine.Options
	flag.Func("api", "reach the engine through `pooled` or go", func(s string) error {
		for _, api := range []engine.API{engine.Pooled, engine.Go} {
			if s == api.String() {
				opts.API = api
				return nil
			}
		}
		return fmt.Errorf("there is no such API")
	})
	flag.BoolVar(&opts.Interruptible, "interruptible", false, "let a context end a running call")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 1<<30, "memory of an instance in `bytes`")
	flag.Func("maxinstances", "`instances` that the pool has room for; 0 is 1000", func(s string) error {
		n, err := strconv.ParseUint(s, 10, 32)
		opts.MaxInstances = uint32(n)
		return err
	})
	flag.Parse()
	e, err := engine.New(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginehost.Main(e, flag.Args())
}
