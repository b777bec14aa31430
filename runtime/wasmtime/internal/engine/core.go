//go:build cgo

package engine

// #include <stdlib.h>
// #include "glue.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	_ "github.com/bytecodealliance/wasmtime-go/v39" // links Wasmtime

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

var errClosed = errors.New("the wasmtime engine is closed")

// A core is one configured Wasmtime engine. Modules and stores keep what they
// need of it, so it may be closed before them.
type core struct {
	ptr    *C.struct_wasm_engine_t
	epochs bool
	dir    string    // that guests find as /, "" for none
	limit  C.int64_t // bytes of a memory that each store is told; -1 for none
	slots  uint32    // of the pool; 0 for none
	store  enginehost.Store
	// users are the instances, whose calls may be ended by way of ptr, and the
	// engine until it is closed. The last to go deletes ptr.
	users atomic.Int64

	mu     sync.Mutex
	shared *C.struct_wasmtime_linker
}

// onDemand returns the core that maps memory for each instance: it is there at
// once, and best for a process that has one instance.
func (e *Engine) onDemand() (*core, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if e.single == nil {
		e.single = newCore(e.options, 0)
	}
	return e.single, nil
}

// pooled returns the core that has all its slots from the beginning.
func (e *Engine) pooled() (*core, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if e.pool == nil {
		if n := e.options.MaxInstances; !C.wb_reservable(C.uint32_t(n)) {
			return nil, &runtime.Exhausted{
				What: "address space",
				Why:  fmt.Sprintf("the engine host has no room for a pool of %d instances", n),
				Fix:  "lower MaxInstances and hold the instances in several processes, or raise ulimit -v or -d where it is limited",
			}
		}
		e.pool = newCore(e.options, uint32(e.options.MaxInstances))
	}
	return e.pool, nil
}

func newCore(o Options, slots uint32) *core {
	c := &core{epochs: o.Interruptible, dir: o.Dir, limit: -1, slots: slots, store: o.Store}
	if slots == 0 && o.MaxMemory < MaxMemory {
		c.limit = C.int64_t(o.MaxMemory)
	}
	c.users.Store(1)
	c.ptr = C.wb_engine_new(&C.wb_config{
		max_memory: C.uint64_t(o.MaxMemory),
		slots:      C.uint32_t(slots),
		epochs:     C.bool(o.Interruptible),
	})
	return c
}

// take counts an instance, or refuses one for which there is no slot. Whoever
// took one gives it back.
func (c *core) take() error {
	for {
		n := c.users.Load()
		if n == 0 {
			return errClosed
		}
		if c.slots > 0 && n > int64(c.slots) {
			return &runtime.Exhausted{
				What: "instances of the pool",
				Why:  fmt.Sprintf("it has room for %d at a time", c.slots),
				Fix:  "raise MaxInstances",
			}
		}
		if c.users.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (c *core) giveBack() {
	if c.users.Add(-1) == 0 {
		C.wasm_engine_delete(c.ptr)
	}
}

// onDemandMemory is what Wasmtime reserves of the address space for a memory
// that is in no pool, with a guard region on both sides, in bytes.
const onDemandMemory = MaxMemory + 2*(32<<20)

// lacking returns a *runtime.Exhausted where an instance could not be made for
// want of room in the process's address space, or why its directory cannot be
// opened, and err otherwise.
func lacking(err error, pooled bool, dir string) error {
	if errors.As(err, new(*TrapError)) || errors.As(err, new(*ExitError)) {
		return err
	}
	if dir != "" {
		if err := hostdir.Opens(dir); err != nil {
			return err
		}
	}
	size := uint64(onDemandMemory)
	if pooled {
		size = pageSize // the rest is reserved
	}
	return enginehost.Exhausted(size, false, err)
}

func (c *core) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared != nil {
		C.wasmtime_linker_delete(c.shared)
		c.shared = nil
	}
	c.giveBack()
}

// linker returns the linker that knows WASI and, where there is one, the store.
// It is made when it is first needed.
func (c *core) linker() (*C.struct_wasmtime_linker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared == nil {
		l := C.wasmtime_linker_new(c.ptr)
		f := C.wb_failure{error: C.wasmtime_linker_define_wasi(l)}
		if f.error == nil && c.store != nil {
			f.error = defineStore(l)
		}
		if f.error != nil {
			C.wasmtime_linker_delete(l)
			return nil, failure(&f, nil)
		}
		c.shared = l
	}
	return c.shared, nil
}

// translate compiles the module in a file.
func (c *core) translate(file string) (*C.struct_wasmtime_module, error) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var m *C.struct_wasmtime_module
	f := C.wb_failure{error: C.wasmtime_module_new(c.ptr,
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(wasm))), C.size_t(len(wasm)), &m)}
	goruntime.KeepAlive(wasm)
	if f.error != nil {
		return nil, failure(&f, nil)
	}
	return m, nil
}

// compile returns the machine code of the module in a file.
func (c *core) compile(file string) ([]byte, error) {
	m, err := c.translate(file)
	if err != nil {
		return nil, err
	}
	defer C.wasmtime_module_delete(m)
	var code C.wb_bytes
	vec := (*C.struct_wasm_byte_vec_t)(unsafe.Pointer(&code))
	if f := (C.wb_failure{error: C.wasmtime_module_serialize(m, vec)}); f.error != nil {
		return nil, failure(&f, nil)
	}
	defer C.wasm_byte_vec_delete(vec)
	return C.GoBytes(unsafe.Pointer(code.data), C.int(code.size)), nil
}

// load reads a module: its machine code is mapped if there is an artefact.
func (c *core) load(src enginehost.Source) (*cModule, error) {
	m := &cModule{core: c}
	if src.Artifact != "" {
		path := C.CString(src.Artifact)
		defer C.free(unsafe.Pointer(path))
		f := C.wb_failure{error: C.wasmtime_module_deserialize_file(c.ptr, path, &m.c.module)}
		if f.error != nil {
			return nil, fmt.Errorf("loading the artefact: %w", failure(&f, nil))
		}
	} else {
		module, err := c.translate(src.Module)
		if err != nil {
			return nil, fmt.Errorf("compiling %s: %w", src.Module, err)
		}
		m.c.module = module
	}
	m.c.engine = c.ptr
	m.c.epochs = C.bool(c.epochs)
	m.c.max_answer = exchange.MaxAnswer
	if c.dir != "" {
		m.c.dir = C.CString(c.dir)
	}
	C.wb_module_shape(&m.c, storeModule)
	m.place()
	if m.c.asks != nil {
		if err := enginehost.CheckImport(c.store, enginehost.StoreModule, C.GoString(m.c.asks)); err != nil {
			m.close()
			return nil, fmt.Errorf("linking: %w", err)
		}
	}
	return m, nil
}
