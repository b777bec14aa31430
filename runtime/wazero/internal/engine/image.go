package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// Image opens a reactor. Nothing of it is loaded before the first Start.
func (e *Engine) Image(src enginehost.Source) (runtime.Image, error) {
	if err := hostdir.Check(e.opts.Dir); err != nil {
		return nil, err
	}
	ctx, r, err := e.runtime(context.Background(), src.Artifact)
	if err != nil {
		return nil, err
	}
	return &image{engine: e, src: src, ctx: ctx, runtime: r}, nil
}

// image is a reactor whose instances share one wazero runtime.
type image struct {
	engine  *Engine
	src     enginehost.Source
	ctx     context.Context // carries wazero's settings, not a deadline
	runtime wazero.Runtime

	mu       sync.RWMutex          // held for reading while an instance is made
	compiled wazero.CompiledModule // nil until the first Start
	most     int                   // of the module's memory, in bytes
}

func (i *image) Bytes() int64 {
	info, err := os.Stat(i.src.Module)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (i *image) Close() error { return i.runtime.Close(i.ctx) }

// Unload forgets the compiled module.
func (i *image) Unload(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.compiled == nil {
		return nil
	}
	err := i.compiled.Close(i.ctx)
	i.compiled = nil
	return err
}

// Start marks Load where the module was not in memory yet, Create when it is
// instantiated, Start after _initialize and Ready.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	config, root, err := files(i.engine.opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", i.src.Module, err)
	}
	client := enginehost.NewClient(i.engine.opts.Store)
	m, reserved, err := i.instantiate(config, client, mark)
	if err != nil {
		return nil, errors.Join(err, client.Close(), closeDir(root))
	}
	mark(runtime.Create, time.Now())
	inst := &instance{
		interruptible: i.engine.opts.Interruptible,
		module:        m, reserved: reserved, root: root, client: client,
		calling: asked(context.Background(), client),
		memory:  m.Memory(), answer: m.ExportedFunction(exchange.Answer),
	}
	if err := inst.begin(ctx, mark); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", i.src.Module, err), inst.Close())
	}
	return inst, nil
}

// instantiate makes an instance in which no code has run yet, loading the module
// where it is not in memory.
func (i *image) instantiate(config wazero.ModuleConfig, client *enginehost.Client, mark func(runtime.Phase, time.Time)) (api.Module, *memory, error) {
	i.mu.RLock()
	for i.compiled == nil {
		i.mu.RUnlock()
		if err := i.load(); err != nil {
			return nil, nil, err
		}
		mark(runtime.Load, time.Now())
		i.mu.RLock()
	}
	defer i.mu.RUnlock()
	m, reserved, err := instantiate(asked(i.ctx, client), i.runtime, i.compiled, config, i.most)
	if err != nil {
		return nil, nil, fmt.Errorf("instantiating %s: %w", i.src.Module, err)
	}
	return m, reserved, nil
}

// load brings the module into memory, unless another start has done so.
func (i *image) load() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.compiled != nil {
		return nil
	}
	m, err := compile(i.ctx, i.runtime, i.src.Module)
	if err != nil {
		return err
	}
	if err := i.engine.checkImports(m); err != nil {
		return errors.Join(fmt.Errorf("instantiating %s: %w", i.src.Module, err), m.Close(i.ctx))
	}
	i.compiled, i.most = m, mostMemory(m, i.engine.maxMemory())
	return nil
}

// firstBuffer is the room for requests that an instance asks for as it starts,
// in bytes.
const firstBuffer = 4096

// begin initialises the instance and asks for its request buffer.
func (i *instance) begin(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	request := i.module.ExportedFunction(exchange.Request)
	if i.memory == nil || request == nil || i.answer == nil {
		return fmt.Errorf("the module does not export %s, %s and %s: build it as a reactor with the exchange's functions", exchange.Memory, exchange.Request, exchange.Answer)
	}
	if initialize := i.module.ExportedFunction(exchange.Initialize); initialize != nil {
		if _, err := initialize.Call(asked(ctx, i.client)); err != nil {
			return called(ctx, err)
		}
	}
	mark(runtime.Start, time.Now())
	if err := i.reserve(asked(ctx, i.client), request, firstBuffer); err != nil {
		return called(ctx, err)
	}
	mark(runtime.Ready, time.Now())
	return nil
}

var errClosed = errors.New("the instance is closed")

// instance is a live module.
type instance struct {
	interruptible bool
	module        api.Module
	reserved      *memory            // where the module's memory is
	root          *os.Root           // the guest's directory, nil where it has none
	client        *enginehost.Client // of its database, nil where it has none
	calling       context.Context    // of its calls, where nothing interrupts them
	memory        api.Memory
	answer        api.Function
	buffer        uint32    // address of the request buffer
	capacity      uint32    // bytes at buffer
	stack         [1]uint64 // argument and result of a call
	out           []byte    // the last answer
}

// reserve makes room for a request of size bytes by the guest's function for it,
// which the instance does not keep: each function has a stack of 10 KiB.
func (i *instance) reserve(ctx context.Context, request api.Function, size uint32) error {
	i.stack[0] = uint64(size)
	if err := request.CallWithStack(ctx, i.stack[:]); err != nil {
		return err
	}
	ptr := uint32(i.stack[0])
	if _, ok := i.memory.Read(ptr, size); !ok || ptr == 0 {
		return &exchange.OutOfBoundsError{What: "request buffer", Ptr: ptr, Size: size, Memory: uint64(i.memory.Size())}
	}
	i.buffer, i.capacity = ptr, size
	return nil
}

// Call makes one exchange.
func (i *instance) Call(ctx context.Context, request []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if i.module.IsClosed() { // its memory is another's by now
		return nil, errClosed
	}
	if i.interruptible {
		ctx = asked(ctx, i.client)
	} else {
		ctx = i.calling // wazero would look into every layer of ctx, and heed none
	}
	size := uint32(len(request))
	if size > i.capacity {
		if err := i.reserve(ctx, i.module.ExportedFunction(exchange.Request), size); err != nil {
			return nil, called(ctx, err)
		}
	}
	i.memory.Write(i.buffer, request)
	i.stack[0] = uint64(size)
	if err := i.answer.CallWithStack(ctx, i.stack[:]); err != nil {
		return nil, called(ctx, err)
	}
	ptr, n := exchange.Unpack(i.stack[0])
	view, ok := i.memory.Read(ptr, n)
	if !ok || n > exchange.MaxAnswer {
		return nil, &exchange.OutOfBoundsError{What: "answer", Ptr: ptr, Size: n, Memory: uint64(i.memory.Size())}
	}
	i.out = append(i.out[:0], view...)
	return i.out, nil
}

// called words the error of a call; where the context ended it, that is the
// cause.
func called(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("calling the guest: %w (%v)", cause, err)
	}
	return fmt.Errorf("calling the guest: %w", err)
}

// Rest undoes what the guest has begun in its database and not finished, and returns
// an error where there was something.
func (i *instance) Rest() error { return i.client.Rest() }

// Scope names this process.
func (i *instance) Scope() runtime.Scope { return runtime.Scope{Own: []int{os.Getpid()}} }

// Regions tells where the instance's memory lies.
func (i *instance) Regions(context.Context) ([]runtime.Region, error) {
	if i.module.IsClosed() {
		return nil, errClosed
	}
	return i.reserved.regions(), nil
}

// Close frees the instance. It may be called again.
func (i *instance) Close() error {
	err := i.module.Close(context.Background())
	if i.interruptible && i.answer != nil {
		// wazero watches a call's context in a goroutine of its own. One that ends
		// as its call returns has the module closed but not freed, which is left
		// to the next call. This one ends before any of the guest runs.
		i.answer.CallWithStack(ended, i.stack[:])
	}
	return errors.Join(err, i.client.Close(), closeDir(i.root))
}

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()
