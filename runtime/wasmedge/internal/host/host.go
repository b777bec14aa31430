//go:build cgo && wasmedge

// Package host is what the programs around WasmEdge have in common.
package host

import (
	"flag"
	"fmt"
	"os"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
)

// Main runs the host that the command line describes and ends the process. in is that
// of enginehost.Flags.
func Main(in func(dir string) enginehost.Store) {
	var opts engine.Options
	flag.BoolVar(&opts.Interpreter, "interpreter", false, "execute without compiling to machine code")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 0, "memory of an instance in `bytes`; 0 is 1 GiB")
	opts.Store = enginehost.Flags(&opts.Interruptible, &opts.Dir, in)
	e, err := engine.New(opts)
	if err == nil && flag.Arg(0) != "run" { // whose guest is to have them
		err = engine.HideStandardFiles()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginehost.Main(e, opts.Store, flag.Args())
}
