//go:build cgo

// Package engine executes modules with Wasmtime in this process.
//
// Wasmtime comes with wasmtime-go, whose library is linked here. For speed the
// package calls that library through declarations of its own (capi.h): they
// reach the pooling allocator and the unchecked call, which wasmtime-go does
// not bind. Options.API chooses plain wasmtime-go for the instances instead.
//
// Guests get WASI preview 1 without environment, network or, unless Options.Dir
// names a directory, files; and, where Options.Store is set, a database. A command
// has this process's standard streams; a reactor has its standard error only, so
// that it cannot write into what a host says on its output.
package engine

// #include "glue.h"
import "C"

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// An API is a way to Wasmtime's instances.
type API uint8

const (
	// Pooled takes instances from a pool of slots and calls them unchecked,
	// after the types of their exports were checked once. A module may have
	// one memory, and one table of 20,000 elements.
	Pooled API = iota
	// Go is wasmtime-go as it comes.
	Go
)

func (a API) String() string {
	switch a {
	case Pooled:
		return "pooled"
	case Go:
		return "go"
	}
	return fmt.Sprintf("API(%d)", uint8(a))
}

// ParseAPI returns the API of that name.
func ParseAPI(name string) (API, error) {
	for _, a := range []API{Pooled, Go} {
		if name == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("there is no wasmtime API %q, only %s and %s", name, Pooled, Go)
}

const (
	pageSize = 64 << 10
	// MaxMemory is the largest memory of a guest, in bytes, and the default.
	MaxMemory = 4 << 30
	// DefaultInstances is how many instances may live at once by default.
	DefaultInstances = 1000
	// MostInstances is more than the address space of any process has room
	// for.
	MostInstances = 1 << 20
)

// Options choose how guests are executed. The zero value is the fast way.
type Options struct {
	// API is how images reach their instances.
	API API
	// Dir is a directory of the host that guests find as /, to read and to write;
	// "" gives them no files. Nothing leads out of it.
	Dir string
	// Store is the database that guests reach through enginehost.StoreModule; nil
	// refuses those that import it. It outlives the engine's instances.
	Store enginehost.Store
	// MaxMemory is the most memory that one instance may have, in bytes,
	// rounded down to pages of 64 KiB; 0 is the constant MaxMemory. Growing
	// beyond it gives the guest -1.
	MaxMemory uint64
	// MaxInstances is how many instances may live at once with API Pooled, at
	// most MostInstances; 0 is DefaultInstances. A slot takes 4.03 GiB of the address space, and
	// 100 bytes of memory until it is used. 14,000 always fit; some 28,000
	// fit where Go's heap does not divide the address space, as it does in
	// about half of all processes (GOEXPERIMENT=norandomizedheapbase64 at
	// build time avoids that). A pool of up to 1,000 keeps 256 KiB of each
	// slot that was used; a larger one keeps nothing, and starts in slots that
	// were used before take six times as long.
	MaxInstances int
	// Interruptible makes guest code end when the context of Start, Call or
	// Run ends; a guest that waits in a WASI call is not woken. The code is
	// slower for it. Without it only the end of the process ends a guest
	// that does not return. Artefacts are for one setting of it.
	Interruptible bool
}

// An Engine is Wasmtime in this process. Nothing of it exists before it is
// needed: a pool only if an image starts. Its methods may be called from
// several goroutines.
type Engine struct {
	options Options
	version string

	mu     sync.Mutex
	single *core  // allocates on demand: for Run and Compile
	pool   *core  // for images with API Pooled
	plain  *plain // for images with API Go
	closed bool
}

var _ enginehost.Engine = (*Engine)(nil)

// New returns an engine. It fails if an option is out of range, or if the
// linked wasmtime-go is not the version whose layouts this package declares.
func New(o Options) (*Engine, error) {
	if o.MaxMemory == 0 {
		o.MaxMemory = MaxMemory
	}
	o.MaxMemory -= o.MaxMemory % pageSize
	if o.MaxInstances == 0 {
		o.MaxInstances = DefaultInstances
	}
	switch {
	case o.API > Go:
		return nil, fmt.Errorf("there is no wasmtime API %s, only %s and %s", o.API, Pooled, Go)
	case o.MaxMemory == 0 || o.MaxMemory > MaxMemory:
		return nil, fmt.Errorf("the memory limit must lie between %d and %d bytes", pageSize, MaxMemory)
	case o.MaxInstances < 1 || o.MaxInstances > MostInstances:
		return nil, fmt.Errorf("MaxInstances is %d: it must lie between 1 and %d, or be 0 for %d", o.MaxInstances, MostInstances, DefaultInstances)
	case o.API == Go && o.Interruptible:
		return nil, fmt.Errorf("wasmtime-go cannot interrupt a single instance: use the API %s for interruptible calls", Pooled)
	}
	version, err := linkedVersion()
	if err != nil {
		return nil, err
	}
	return &Engine{options: o, version: version}, nil
}

// Info tells the version that is linked and the settings of Image if held is
// set, of Run otherwise.
func (e *Engine) Info(held bool) (runtime.Info, error) {
	o := e.options
	instances := "C API, allocated on demand"
	switch {
	case held && o.API == Pooled:
		instances = fmt.Sprintf("C API, unchecked calls, a pool of %d", o.MaxInstances)
	case held:
		instances = "wasmtime-go, allocated on demand"
	}
	return runtime.Info{
		Version: "wasmtime-go " + e.version,
		Settings: fmt.Sprintf("cranelift for speed, instances by %s, at most %d MiB an instance, interruptible=%t",
			instances, o.MaxMemory>>20, o.Interruptible),
	}, nil
}

// Compile writes the machine code of a module to the file artifact, for Run
// and for images of either API. The file appears complete or not at all.
func (e *Engine) Compile(ctx context.Context, module, artifact string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	c, err := e.onDemand()
	if err != nil {
		return err
	}
	code, err := c.compile(module)
	if err != nil {
		return fmt.Errorf("compiling %s: %w", module, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(artifact), filepath.Base(artifact)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(code)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), artifact)
}

// Image opens a reactor; see package exchange. Nothing is loaded before the
// first Start.
func (e *Engine) Image(src enginehost.Source) (runtime.Image, error) {
	if err := hostdir.Check(e.options.Dir); err != nil {
		return nil, err
	}
	file := src.Artifact
	if file == "" {
		file = src.Module
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("opening a wasmtime image: %w", err)
	}
	return &image{engine: e, src: src, size: info.Size()}, nil
}

// Close gives back what the engine took, the pool above all, or leaves that to
// the last of its instances. Images are closed first. Closing it again does
// nothing.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, c := range []*core{e.single, e.pool} {
		if c != nil {
			c.close()
		}
	}
	if e.plain != nil {
		e.plain.close()
	}
	e.single, e.pool, e.plain = nil, nil, nil
	return nil
}

// load makes a module ready to be instantiated as the options say.
func (e *Engine) load(src enginehost.Source) (module, error) {
	if e.options.API == Go {
		return e.loadPlain(src)
	}
	c, err := e.pooled()
	if err != nil {
		return nil, err
	}
	m, err := c.load(src)
	if err != nil {
		return nil, err
	}
	if err := m.reactor(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}
