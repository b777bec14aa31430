//go:build cgo && wasmedge

package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// firstBuffer is the room for requests that an instance asks for as it starts,
// in bytes.
const firstBuffer = 4096

var (
	errClosed = errors.New("the instance is closed")
	errFailed = errors.New("the instance has failed before and can only be closed")
)

// An exportError is an export that is missing or of another type.
type exportError struct{ name, want string }

func (e *exportError) Error() string {
	return fmt.Sprintf("the module does not export %s as %s: build it as the guests of package workload are", e.name, e.want)
}

// instance is a live reactor.
type instance struct {
	guest           *guest // nil when closed
	memory          *wasmedge.Memory
	request, answer *wasmedge.Function
	buffer          uint32 // address of the request buffer
	capacity        uint32 // bytes at buffer
	out             []byte // the last answer
	failed          bool
}

// begin finds what a reactor exports, initialises the instance and asks for its
// request buffer.
func (i *instance) begin(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	in := i.guest.instance
	i.memory, i.request, i.answer = in.FindMemory(exchange.Memory), in.FindFunction(exchange.Request), in.FindFunction(exchange.Answer)
	switch {
	case i.memory == nil:
		return &exportError{exchange.Memory, "a memory"}
	case i.request == nil:
		return &exportError{exchange.Request, "(i32) -> i32"}
	case i.answer == nil:
		return &exportError{exchange.Answer, "(i32) -> i64"}
	}
	if initialize := in.FindFunction(exchange.Initialize); initialize != nil {
		if _, err := i.guest.call(ctx, initialize); err != nil {
			return err
		}
	}
	mark(runtime.Start, time.Now())
	if err := i.reserve(ctx, firstBuffer); err != nil {
		return err
	}
	mark(runtime.Ready, time.Now())
	return nil
}

// only returns the one result of a call. WasmEdge checks what a function takes;
// what it returns is not known before, for WasmEdge-go v0.14.0 cannot list the
// results of a type: its FunctionType.GetReturns dereferences nil.
func only[T int32 | int64](results []any) (result T, ok bool) {
	if len(results) != 1 {
		return 0, false
	}
	result, ok = results[0].(T)
	return result, ok
}

// reserve makes room for a request of size bytes.
func (i *instance) reserve(ctx context.Context, size uint32) error {
	results, err := i.guest.call(ctx, i.request, size)
	if err != nil {
		return err
	}
	at, ok := only[int32](results)
	if !ok {
		return &exportError{exchange.Request, "(i32) -> i32"}
	}
	ptr := uint32(at)
	if ptr == 0 {
		return fmt.Errorf("the guest has no room for a request of %d bytes", size)
	}
	if _, err := i.memory.GetData(uint(ptr), uint(size)); err != nil {
		return i.outside("request buffer", ptr, size)
	}
	i.buffer, i.capacity = ptr, size
	return nil
}

func (i *instance) outside(what string, ptr, size uint32) error {
	return &exchange.OutOfBoundsError{What: what, Ptr: ptr, Size: size, Memory: uint64(i.memory.GetPageSize()) * pageSize}
}

// Call makes one exchange.
func (i *instance) Call(ctx context.Context, request []byte) ([]byte, error) {
	switch {
	case i.guest == nil:
		return nil, errClosed
	case i.failed:
		return nil, errFailed
	case len(request) > math.MaxInt32:
		return nil, fmt.Errorf("the request has %d bytes, more than a guest can address", len(request))
	}
	answer, err := i.call(ctx, request)
	i.failed = err != nil
	return answer, err
}

func (i *instance) call(ctx context.Context, request []byte) ([]byte, error) {
	size := uint32(len(request))
	if size > i.capacity {
		if err := i.reserve(ctx, size); err != nil {
			return nil, err
		}
	}
	if size > 0 {
		if err := i.memory.SetData(request, uint(i.buffer), uint(size)); err != nil {
			return nil, i.outside("request buffer", i.buffer, size)
		}
	}
	results, err := i.guest.call(ctx, i.answer, size)
	if err != nil {
		return nil, err
	}
	packed, ok := only[int64](results)
	if !ok {
		return nil, &exportError{exchange.Answer, "(i32) -> i64"}
	}
	ptr, n := exchange.Unpack(uint64(packed))
	i.out = i.out[:0]
	if n == 0 {
		return i.out, nil
	}
	view, err := i.memory.GetData(uint(ptr), uint(n))
	if err != nil || n > exchange.MaxAnswer {
		return nil, i.outside("answer", ptr, n)
	}
	i.out = append(i.out, view...)
	return i.out, nil
}

// Rest undoes what the guest has begun in its database and not finished, and returns
// an error where there was something.
func (i *instance) Rest() error {
	if i.guest == nil || !i.guest.module.asks {
		return nil
	}
	i.guest.asked.Lock()
	defer i.guest.asked.Unlock()
	return i.guest.client.Rest()
}

// Scope names this process.
func (i *instance) Scope() runtime.Scope { return runtime.Scope{Own: []int{os.Getpid()}} }

// Regions tells where the module's code and the instance's memory lie.
func (i *instance) Regions(context.Context) ([]runtime.Region, error) {
	if i.guest == nil {
		return nil, errClosed
	}
	return i.guest.regions(), nil
}

// Close frees the instance. Closing it again does nothing.
func (i *instance) Close() error {
	if i.guest == nil {
		return nil
	}
	g := i.guest
	i.guest = nil
	return g.close()
}
