//go:build cgo

package engine

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// A plainInstance is an instance of wasmtime-go.
type plainInstance struct {
	store           *wasmtime.Store
	memory          *wasmtime.Memory
	request, answer *wasmtime.Func
	at, capacity    uint32 // of the request buffer
	buf             []byte
	artifact        string  // the file of the machine code, "" if it was compiled in memory
	tenant          *tenant // nil unless it imports what the store is reached by
	failed, closed  bool
}

func (i *plainInstance) open(m *plainModule, mark marker) error {
	if m.limit < MaxMemory {
		i.store.Limiter(m.limit, -1, -1, -1, -1)
	}
	if m.wasi {
		wasi := wasmtime.NewWasiConfig()
		wasi.SetArgv([]string{"guest"})
		wasi.InheritStderr()
		if m.dir != "" {
			err := wasi.PreopenDir(m.dir, "/", wasmtime.DIR_READ|wasmtime.DIR_WRITE, wasmtime.FILE_READ|wasmtime.FILE_WRITE)
			if err != nil {
				return lacking(fmt.Errorf("opening the guest's directory %s: %w", m.dir, i.worded(err)), false, m.dir)
			}
		}
		i.store.SetWasi(wasi)
	}
	instance, err := m.linker.Instantiate(i.store, m.module)
	if err != nil {
		return fmt.Errorf("instantiating: %w", lacking(i.worded(err), false, m.dir))
	}
	mark(runtime.Create, time.Now())
	if m.initialize {
		if _, err := instance.GetFunc(i.store, exchange.Initialize).Call(i.store); err != nil {
			return fmt.Errorf("calling %s: %w", exchange.Initialize, i.worded(err))
		}
		mark(runtime.Start, time.Now())
	}
	i.memory = instance.GetExport(i.store, exchange.Memory).Memory()
	if i.memory == nil {
		return checkReactor(false, true, true)
	}
	i.request = instance.GetFunc(i.store, exchange.Request)
	i.answer = instance.GetFunc(i.store, exchange.Answer)
	return i.reserve(firstBuffer)
}

// reserve asks the guest for a request buffer of size bytes.
func (i *plainInstance) reserve(size uint32) error {
	v, err := i.request.Call(i.store, int32(size))
	if err != nil {
		return i.worded(err)
	}
	at := uint32(v.(int32))
	if at == 0 {
		return errGuestRoom
	}
	if bound := uint64(i.memory.DataSize(i.store)); uint64(at)+uint64(size) > bound {
		return &exchange.OutOfBoundsError{What: "buffer", Ptr: at, Size: size, Memory: bound}
	}
	i.at, i.capacity = at, size
	return nil
}

// Call makes one exchange.
func (i *plainInstance) Call(ctx context.Context, request []byte) ([]byte, error) {
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case i.closed:
		return nil, errInstanceClosed
	case i.failed:
		return nil, errInstanceFailed
	case len(request) > math.MaxInt32:
		return nil, fmt.Errorf("the request has %d bytes, more than a guest can address", len(request))
	}
	answer, err := i.call(request)
	i.failed = err != nil
	return answer, err
}

func (i *plainInstance) call(request []byte) ([]byte, error) {
	size := uint32(len(request))
	if size > i.capacity {
		if err := i.reserve(size); err != nil {
			return nil, err
		}
	}
	copy(i.memory.UnsafeData(i.store)[i.at:], request)
	v, err := i.answer.Call(i.store, int32(size))
	if err != nil {
		return nil, i.worded(err)
	}
	at, n := exchange.Unpack(uint64(v.(int64)))
	data := i.memory.UnsafeData(i.store)
	if uint64(at)+uint64(n) > uint64(len(data)) || n > exchange.MaxAnswer {
		return nil, &exchange.OutOfBoundsError{What: "answer", Ptr: at, Size: n, Memory: uint64(len(data))}
	}
	i.buf = append(i.buf[:0], data[at:at+n]...)
	return i.buf, nil
}

// worded is the function of that name, and tells why the store refused a guest.
func (i *plainInstance) worded(err error) error { return worded(err, i.tenant.refusal()) }

// Rest undoes what the guest has begun in its database and not finished, and returns
// an error where there was something.
func (i *plainInstance) Rest() error { return i.tenant.rest() }

// Scope is this process.
func (i *plainInstance) Scope() runtime.Scope { return runtime.Scope{Own: []int{os.Getpid()}} }

// Regions tells where the instance's memory lies, and the file of its module's
// code, of which wasmtime-go does not tell where it is mapped.
func (i *plainInstance) Regions(context.Context) ([]runtime.Region, error) {
	if i.closed {
		return nil, errInstanceClosed
	}
	regions := []runtime.Region{memoryAt(uintptr(i.memory.Data(i.store)))}
	if i.artifact != "" {
		regions = append(regions, runtime.Region{Kind: runtime.ModuleCode, Path: i.artifact})
	}
	return regions, nil
}

// Close frees the instance and ends its session of the store. Closing it again
// does nothing.
func (i *plainInstance) Close() error {
	i.closed = true
	i.store.Close()
	return i.tenant.close()
}
