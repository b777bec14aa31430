//go:build cgo

// Package host is what the programs around Wasmtime have in common.
package host

import (
	"flag"
	"fmt"
	"os"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/engine"
)

// Main runs the host that the command line describes and ends the process. in is that
// of enginehost.Flags.
func Main(in func(dir string) enginehost.Store) {
	var opts engine.Options
	api := flag.String("api", engine.Pooled.String(), "reach the engine through `pooled` or go")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 1<<30, "memory of an instance in `bytes`")
	flag.IntVar(&opts.MaxInstances, "maxinstances", 0, "`instances` that the pool has room for; 0 is 1000")
	opts.Store = enginehost.Flags(&opts.Interruptible, &opts.Dir, in)
	e, err := newEngine(*api, opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginehost.Main(e, opts.Store, flag.Args())
}

func newEngine(api string, opts engine.Options) (e *engine.Engine, err error) {
	if opts.API, err = engine.ParseAPI(api); err != nil {
		return nil, err
	}
	return engine.New(opts)
}
