//go:build cgo && wasmedge

// Host is the engine host of WasmEdge: a process that holds WasmEdge and
// nothing else. The package runtime/wasmedge builds and drives it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
)

func main() {
	var opts engine.Options
	flag.BoolVar(&opts.Interpreter, "interpreter", false, "execute without compiling to machine code")
	flag.BoolVar(&opts.Interruptible, "interruptible", false, "let a context end a running call")
	flag.StringVar(&opts.Dir, "dir", "", "`directory` that guests find as /")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 0, "memory of an instance in `bytes`; 0 is 1 GiB")
	flag.Parse()
	e, err := engine.New(opts)
	if err == nil && flag.Arg(0) != "run" { // whose guest is to have them
		err = engine.HideStandardFiles()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	enginehost.Main(e, flag.Args())
}
