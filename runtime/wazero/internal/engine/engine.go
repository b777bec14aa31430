// Package engine runs modules on wazero in this process.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// Options choose how wazero executes. The zero value is the compiler with what
// makes it fast.
type Options struct {
	// Interpreter executes without compiling to machine code.
	Interpreter bool
	// Interruptible makes a running call end when its context ends. It costs a
	// check in every loop; without it only the death of the process ends an
	// endless guest.
	Interruptible bool
	// Dir is a directory of the host that guests find as /, to read and to write;
	// "" gives them no files. Nothing leads out of it.
	Dir string
	// Store is the database that guests reach by the functions of
	// enginehost.StoreModule; without one a module that imports them is not
	// instantiated.
	Store enginehost.Store
	// MaxMemory bounds the memory of an instance, in bytes, rounded down to
	// pages of 64 KiB. 0 is DefaultMaxMemory.
	MaxMemory uint64
}

// DefaultMaxMemory is the memory that an instance may have, in bytes.
const DefaultMaxMemory = 1 << 30

const pageSize = 64 << 10

// An Engine is wazero with options. It implements enginehost.Engine.
type Engine struct{ opts Options }

// New returns an engine.
func New(opts Options) *Engine {
	if opts.MaxMemory == 0 {
		opts.MaxMemory = DefaultMaxMemory
	}
	return &Engine{opts: opts}
}

// Info tells the version of the module that is linked and the settings, which
// are the same for Run and Image.
func (e *Engine) Info(bool) (runtime.Info, error) {
	how := fmt.Sprintf("compiler, %d compilation workers", goruntime.GOMAXPROCS(0))
	if e.opts.Interpreter {
		how = "interpreter"
	}
	return runtime.Info{
		Version:  "wazero " + moduleVersion("github.com/tetratelabs/wazero"),
		Settings: fmt.Sprintf("%s, memory reserved ahead, at most %d MiB an instance, random numbers of the host, interruptible=%t", how, e.opts.MaxMemory>>20, e.opts.Interruptible),
	}, nil
}

// maxMemory is the memory that an instance may have, in bytes: whole pages, and
// no more than a guest can address.
func (e *Engine) maxMemory() uint64 { return min(e.opts.MaxMemory/pageSize, 1<<16) * pageSize }

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

// runtime returns a wazero runtime with what modules import, and a context for it. cacheDir is
// where compiled modules are kept, "" keeps none.
func (e *Engine) runtime(ctx context.Context, cacheDir string) (context.Context, wazero.Runtime, error) {
	config := wazero.NewRuntimeConfigCompiler()
	if e.opts.Interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = config.WithMemoryLimitPages(uint32(e.maxMemory() / pageSize)).WithCloseOnContextDone(e.opts.Interruptible)
	if cacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
		if err != nil {
			return nil, nil, fmt.Errorf("opening the compilation cache: %w", err)
		}
		config = config.WithCompilationCache(cache)
	}
	ctx = experimental.WithCompilationWorkers(ctx, goruntime.GOMAXPROCS(0))
	r := wazero.NewRuntimeWithConfig(ctx, config)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("instantiating WASI: %w", err), r.Close(ctx))
	}
	if e.opts.Store != nil {
		if err := provideStore(ctx, r); err != nil {
			return nil, nil, errors.Join(err, r.Close(ctx))
		}
	}
	return ctx, r, nil
}

// compile reads and compiles a module, or maps what the cache has of it.
func compile(ctx context.Context, r wazero.Runtime, path string) (wazero.CompiledModule, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the module: %w", err)
	}
	m, err := r.CompileModule(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", path, err)
	}
	return m, nil
}

// Compile fills the directory artifact with what wazero's compilation cache
// keeps of the module. The interpreter keeps nothing.
func (e *Engine) Compile(ctx context.Context, module, artifact string) (err error) {
	ctx, r, err := e.runtime(ctx, artifact)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	_, err = compile(ctx, r, module)
	return err
}

// Run runs a command with this process's standard files.
func (e *Engine) Run(ctx context.Context, src enginehost.Source, loaded func(), placed func([]runtime.Region)) (err error) {
	config, root, err := files(e.opts.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDir(root)) }()
	ctx, r, err := e.runtime(ctx, src.Artifact)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	m, err := compile(ctx, r, src.Module)
	if err != nil {
		return err
	}
	if err := e.checkImports(m); err != nil {
		return fmt.Errorf("instantiating %s: %w", src.Module, err)
	}
	loaded()
	client := enginehost.NewClient(e.opts.Store)
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx = asked(ctx, client)
	config = config.WithStdin(os.Stdin).WithStdout(os.Stdout).WithStderr(os.Stderr)
	guest, mem, err := instantiate(ctx, r, m, config, mostMemory(m, e.maxMemory()))
	if err == nil {
		placed(mem.regions())
		err = enter(ctx, guest)
	}
	if exit := (*sys.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", src.Module, err)
	}
	return nil
}

// enter runs _start, if there is one.
func enter(ctx context.Context, guest api.Module) error {
	start := guest.ExportedFunction(exchange.Entry)
	if start == nil {
		return nil
	}
	_, err := start.Call(ctx)
	return err
}

// bareConfig gives a guest the host's clocks and random numbers, as a native
// process has them, and no files. wazero's own source of numbers, which are the
// same for each instance, would take 5 KiB of it and be filled at each start.
var bareConfig = wazero.NewModuleConfig().WithName("").WithArgs("guest").
	WithSysWalltime().WithSysNanotime().WithSysNanosleep().WithRandSource(rand.Reader).WithStartFunctions()
