//go:build cgo

// Host is the engine host of Wasmtime: a process that holds Wasmtime and
// nothing else. The package runtime/wasmtime builds and drives it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/engine"
)

func main() {
	var opts engine.Options
	api := flag.String("api", engine.Pooled.String(), "reach the engine through `pooled` or go")
	flag.BoolVar(&opts.Interruptible, "interruptible", false, "let a context end a running call")
	flag.StringVar(&opts.Dir, "dir", "", "`directory` that guests find as /")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 1<<30, "memory of an instance in `bytes`")
	flag.IntVar(&opts.MaxInstances, "maxinstances", 0, "`instances` that the pool has room for; 0 is 1000")
	flag.Parse()
	if err := run(*api, opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(api string, opts engine.Options) (err error) {
	if opts.API, err = engine.ParseAPI(api); err != nil {
		return err
	}
	e, err := engine.New(opts)
	if err != nil {
		return err
	}
	enginehost.Main(e, flag.Args())
	return nil
}
