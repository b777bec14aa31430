// Package enginehost is the program around an engine: one process that holds
// that engine and nothing else, so that its start is timed, its heap read and
// its crash confined apart from the harness. The main package of each engine's
// host hands its Engine to Main; the harness drives it through package engine.
package enginehost

import (
	"context"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Source is a module and how it is to be loaded.
type Source struct {
	Module   string // path of the .wasm file
	Artifact string // what Compile made of it; "" compiles the module at each load
}

// An Engine executes modules in this process.
type Engine interface {
	// Info tells the engine's version and its settings: those of Image if held
	// is set, of Run otherwise.
	Info(held bool) (runtime.Info, error)
	// Compile makes of the module what Run and Image load fast, at the path
	// artifact, which does not exist yet; it may become a file or a directory.
	Compile(ctx context.Context, module, artifact string) error
	// Run instantiates a command and runs its _start with this process's
	// standard input, output and error. It calls loaded when the module has
	// been loaded and is about to be instantiated, and then placed, with where
	// the instance lies in this process, before it runs _start. An exit with
	// status 0 is no error.
	Run(ctx context.Context, src Source, loaded func(), placed func([]runtime.Region)) error
	// Image opens a reactor whose instances live in this process. Nothing is
	// loaded before the first Start. The image is also a runtime.Unloader, its
	// instances are runtime.Mappers. A Start that fails because something of
	// this process is used up returns a *runtime.Exhausted.
	// Start, Unload and the instances, each for itself, may be used from
	// several goroutines at a time: HTTP requests are.
	Image(src Source) (runtime.Image, error)
}

// A Limiter is an engine whose guests can take memory that it does not bound
// itself. Main has it bound that of the process before there is a guest.
type Limiter interface {
	// Limit bounds the memory of this process, which is to hold as many
	// instances.
	Limit(instances int) error
}
