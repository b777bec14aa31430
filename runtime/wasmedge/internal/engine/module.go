//go:build cgo && wasmedge

package engine

// #include <wasmedge/wasmedge.h>
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// A module is a guest in memory. WasmEdge's instances refer to it, so it lives
// until it is released by whoever loaded it and by the last instance.
type module struct {
	ast  *wasmedge.AST
	code string // the file of the machine code, "" if it is interpreted
	wasi bool   // whether it imports anything
	asks bool   // whether it imports the functions of a database
	refs atomic.Int32
}

// load loads and validates a module: the artefact unless it is interpreted.
func (e *Engine) load(conf *wasmedge.Configure, src enginehost.Source) (*module, error) {
	path := src.Artifact
	if e.opts.Interpreter {
		path = src.Module
	} else if path == "" {
		return nil, fmt.Errorf("module %s: WasmEdge compiles ahead only: compile it first, or interpret it", src.Module)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening the module: %w", err)
	}
	loader, validator := wasmedge.NewLoaderWithConfig(conf), wasmedge.NewValidatorWithConfig(conf)
	defer loader.Release()
	defer validator.Release()
	ast, err := loader.LoadFile(path)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	if err := validator.Validate(ast); err != nil {
		ast.Release()
		return nil, fmt.Errorf("validating %s: %w", path, err)
	}
	m := &module{ast: ast, code: src.Artifact}
	for _, i := range ast.ListImports() {
		from := i.GetModuleName()
		if err := enginehost.CheckImport(e.opts.Store, from, i.GetExternalName()); err != nil {
			ast.Release()
			return nil, fmt.Errorf("instantiating %s: %w", src.Module, err)
		}
		m.wasi, m.asks = true, m.asks || from == enginehost.StoreModule
	}
	if e.opts.Interpreter {
		m.code = ""
	}
	m.refs.Store(1)
	return m, nil
}

func (m *module) release() {
	if m.refs.Add(-1) == 0 {
		m.ast.Release()
	}
}

// A guest is an instance of a module and what it takes.
type guest struct {
	module        *module
	executor      *wasmedge.Executor
	store         *wasmedge.Store
	wasi          *wasmedge.Module // nil where nothing is imported
	database      *wasmedge.Module // the functions of a database, nil where they are not imported
	asked         sync.Mutex       // held for what follows, which a thread of WasmEdge may have
	client        *enginehost.Client
	asking        error // of a function of the database, which ended the guest
	instance      *wasmedge.Module
	interruptible bool
}

// instantiate makes an instance. Nothing of it has run but a start function.
func (m *module) instantiate(conf *wasmedge.Configure, opts Options) (*guest, error) {
	if m.wasi && opts.Dir != "" { // which WasmEdge would leave out without a word
		if err := hostdir.Opens(opts.Dir); err != nil {
			return nil, err
		}
	}
	m.refs.Add(1)
	g := &guest{module: m, executor: wasmedge.NewExecutorWithConfig(conf), store: wasmedge.NewStore(), interruptible: opts.Interruptible}
	if m.wasi {
		var dirs []string
		if opts.Dir != "" {
			dirs = []string{"/:" + opts.Dir}
		}
		g.wasi = wasmedge.NewWasiModule([]string{"guest"}, nil, dirs)
		if err := g.executor.RegisterImport(g.store, g.wasi); err != nil {
			g.close()
			return nil, fmt.Errorf("registering WASI: %w", err)
		}
	}
	if m.asks {
		g.client = enginehost.NewClient(opts.Store)
		g.database = g.storeModule()
		if err := g.executor.RegisterImport(g.store, g.database); err != nil {
			g.close()
			return nil, fmt.Errorf("registering the database: %w", err)
		}
	}
	var err error
	if g.instance, err = g.executor.Instantiate(g.store, m.ast); err != nil {
		if closing := errors.Join(g.failure(), g.close()); closing != nil {
			return nil, fmt.Errorf("instantiating: %w", closing)
		}
		if res := (*wasmedge.Result)(nil); errors.As(err, &res) && res.GetCode() == C.WasmEdge_ErrCode_MemoryOutOfBounds {
			// No code has run yet: a data segment does not fit, or nothing
			// was there for it to fit in.
			err = enginehost.Exhausted(reservation, false, err)
		}
		return nil, fmt.Errorf("instantiating: %w", err)
	}
	return g, nil
}

const (
	// reservation is what WasmEdge reserves of the address space for a memory,
	// in bytes, and addressable what of that the guest can address, from the
	// memory's base on.
	reservation = 12 << 30
	addressable = 4 << 30
)

// regions tells where the module's code and the guest's memory lie.
func (g *guest) regions() (regions []runtime.Region) {
	if g.module.code != "" {
		regions = append(regions, runtime.Region{Kind: runtime.ModuleCode, Path: g.module.code})
	}
	if memory := g.instance.FindMemory(exchange.Memory); memory != nil {
		if first, err := memory.GetData(0, 1); err == nil {
			base := uintptr(unsafe.Pointer(&first[0]))
			regions = append(regions, runtime.Region{Kind: runtime.LinearMemory, Start: base, End: base + addressable})
		}
	}
	return regions
}

// close releases the instance before what it refers to, and ends its session of a
// database.
func (g *guest) close() error {
	if g.instance != nil {
		g.instance.Release()
	}
	if g.wasi != nil {
		g.wasi.Release()
	}
	if g.database != nil {
		g.database.Release()
	}
	g.store.Release()
	g.executor.Release()
	g.module.release()
	g.asked.Lock()
	defer g.asked.Unlock()
	return g.client.Close()
}
