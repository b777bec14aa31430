// Package host is what the programs around wazero have in common.
package host

import (
	"flag"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
)

// Main runs the host that the command line describes and ends the process. in is that
// of enginehost.Flags.
func Main(in func(dir string) enginehost.Store) {
	var opts engine.Options
	flag.BoolVar(&opts.Interpreter, "interpreter", false, "execute without compiling to machine code")
	flag.Uint64Var(&opts.MaxMemory, "maxmemory", 0, "memory of an instance in `bytes`; 0 is 1 GiB")
	opts.Store = enginehost.Flags(&opts.Interruptible, &opts.Dir, in)
	enginehost.Main(engine.New(opts), opts.Store, flag.Args())
}
