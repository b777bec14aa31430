// Host is the engine host of wazero: a process that holds wazero and nothing
// else. The package runtime/wazero builds and drives it.
package main

import (
	"flag"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
)

func main() {
	var opts engine.Options
	flag.BoolVar(&opts.Interpreter, "interpreter", false, "execute without compiling to machine code")
	flag.BoolVar(&opts.Interruptible, "interruptible", false, "let a context end a running call")
	flag.StringVar(&opts.Dir, "dir", "", "`directory` that guests find as /")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 0, "memory of an instance in `bytes`; 0 is 1 GiB")
	flag.Parse()
	enginehost.Main(engine.New(opts), flag.Args())
}
