//go:build cgo && wasmedge

// Package engine executes modules with WasmEdge in this process, by way of
// WasmEdge-go. What WasmEdge-go does not bind, the compiler's setting for
// interruptible code, is reached through WasmEdge's C API.
//
// Guests get WASI preview 1 without environment, network or, unless Options.Dir
// names a directory, files. WasmEdge gives every guest the standard files of the
// process and has no setting for it: see HideStandardFiles.
package engine

// #cgo LDFLAGS: -lwasmedge
// #include <wasmedge/wasmedge.h>
import "C"

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

const pageSize = 64 << 10

// DefaultMaxMemory is the memory that an instance may have, in bytes.
const DefaultMaxMemory = 1 << 30

// Options choose how guests are executed. The zero value is code that was
// compiled ahead.
type Options struct {
	// Interpreter executes without compiling to machine code.
	Interpreter bool
	// Interruptible makes guest code end when the context of Start, Call or
	// Run ends. Each call then takes a thread, and compiled code a check in
	// every loop. Without it only the end of the process ends a guest that does
	// not return. Artefacts are for one setting of it.
	Interruptible bool
	// Dir is a directory of the host that guests find as /, to read and to write;
	// "" gives them no files. Its name has no colon. Nothing leads out of it.
	Dir string
	// Store is the database that guests reach by the functions of
	// enginehost.StoreModule; without one a module that imports them is not
	// instantiated.
	Store enginehost.Store
	// MaxMemory is the most memory that one instance may have, in bytes,
	// rounded down to pages of 64 KiB; 0 is DefaultMaxMemory. Growing beyond it
	// gives the guest -1.
	MaxMemory uint64
}

// An Engine is WasmEdge with options. It implements enginehost.Engine.
type Engine struct {
	opts    Options
	version string
}

var _ enginehost.Engine = (*Engine)(nil)

// New returns an engine. It fails if an option is out of range, or if
// the library that was found at run time is not of the version that the
// program was compiled for.
func New(opts Options) (*Engine, error) {
	if opts.MaxMemory == 0 {
		opts.MaxMemory = DefaultMaxMemory
	}
	if opts.MaxMemory < pageSize {
		return nil, fmt.Errorf("the memory limit of %d bytes is less than a page of %d", opts.MaxMemory, pageSize)
	}
	if strings.Contains(opts.Dir, ":") {
		return nil, fmt.Errorf("the guest's directory: %s has a colon in its name, with which WasmEdge divides names: rename it", opts.Dir)
	}
	version := wasmedge.GetVersion()
	if version != C.WASMEDGE_VERSION {
		return nil, fmt.Errorf("libwasmedge of another version: found %s, needed %s as its headers say: install the two from one package", version, C.WASMEDGE_VERSION)
	}
	// It logs to the standard output, which belongs to the guest or to the
	// exchange with the harness. Its errors say what failed.
	wasmedge.SetLogOff()
	return &Engine{opts: opts, version: version}, nil
}

// Info tells the version of the library and the settings, which are the same
// for Run and Image.
func (e *Engine) Info(bool) (runtime.Info, error) {
	how := "compiled ahead by LLVM at -O2"
	if e.opts.Interpreter {
		how = "interpreter"
	}
	return runtime.Info{
		Version:  fmt.Sprintf("libwasmedge %s, WasmEdge-go %s", e.version, moduleVersion("github.com/second-state/WasmEdge-go")),
		Settings: fmt.Sprintf("%s, at most %d MiB an instance, interruptible=%t", how, e.opts.MaxMemory>>20, e.opts.Interruptible),
	}, nil
}

func moduleVersion(path string) string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, d := range b.Deps {
			if d.Path == path {
				return d.Version
			}
		}
	}
	return "of unknown version"
}

// configure returns WasmEdge's form of the options. The caller releases it.
func (e *Engine) configure() *wasmedge.Configure {
	c := wasmedge.NewConfigure()
	c.SetMaxMemoryPage(uint(min(e.opts.MaxMemory/pageSize, 1<<16)))
	c.SetForceInterpreter(e.opts.Interpreter)
	return c
}
