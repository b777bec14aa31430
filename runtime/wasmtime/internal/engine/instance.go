//go:build cgo

package engine

// // A guest may call back into Go, which may move the stack on which a request
// // lies: wb_instance_call copies it before it enters the guest.
// #cgo noescape wb_instance_call
// #cgo nocallback wb_instance_new
// #cgo nocallback wb_instance_base
// #cgo nocallback wb_instance_bind
// #cgo nocallback wb_instance_close
// #include "glue.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/cgo"
	"time"
	"unsafe"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// firstBuffer is the size of the request buffer that an instance has from the
// start, in bytes.
const firstBuffer = 4096

var (
	errInstanceClosed = errors.New("the instance is closed")
	errNoMemory       = errors.New("out of memory")
	errInstanceFailed = errors.New("the instance failed before and can only be closed")
)

// A cInstance is an instance reached through capi.h.
type cInstance struct {
	c      *C.wb_instance // nil when closed
	answer []byte
	failed bool
	guard  *guard  // nil unless interruptible
	tenant *tenant // nil unless it imports what the store is reached by
	module *cModule
}

// open makes an instance of a reactor.
func (m *cModule) open(ctx context.Context, mark marker) (runtime.Instance, error) {
	i, err := m.instance(C.wb_stdio{err: true})
	if err != nil {
		return nil, err
	}
	release := i.guard.watch(ctx)
	err = i.start(ctx, m, mark)
	release()
	if err != nil {
		return nil, errors.Join(err, i.Close())
	}
	mark(runtime.Ready, time.Now())
	return i, nil
}

// instance returns an instance in which no code has run yet.
func (m *cModule) instance(stdio C.wb_stdio) (*cInstance, error) {
	if err := m.core.take(); err != nil {
		return nil, err
	}
	i := &cInstance{c: C.wb_instance_new(&m.c, stdio, m.core.limit), module: m}
	if i.c == nil {
		m.core.giveBack()
		return nil, errNoMemory
	}
	if i.tenant = newTenant(m.c.asks != nil, m.core.store); i.tenant != nil {
		i.c.tenant = C.uintptr_t(cgo.NewHandle(i.tenant))
	}
	if m.core.epochs {
		i.guard = &guard{instance: i.c, engine: m.core.ptr}
	}
	return i, nil
}

// start instantiates and initializes the reactor.
func (i *cInstance) start(ctx context.Context, m *cModule, mark marker) error {
	if err := i.instantiate(ctx, m); err != nil {
		return err
	}
	mark(runtime.Create, time.Now())
	if m.c.initialize {
		if err := i.enter(ctx, exchange.Initialize); err != nil {
			return fmt.Errorf("calling %s: %w", exchange.Initialize, err)
		}
		mark(runtime.Start, time.Now())
	}
	if !C.wb_instance_bind(i.c) {
		return checkReactor(false, true, true)
	}
	return i.outcome(ctx, C.wb_instance_reserve(i.c, firstBuffer))
}

func (i *cInstance) instantiate(ctx context.Context, m *cModule) error {
	if err := i.outcome(ctx, C.wb_instance_open(i.c, &m.c)); err != nil {
		return fmt.Errorf("instantiating: %w", lacking(err, m.core.slots > 0, m.core.dir))
	}
	return nil
}

// enter calls an export that takes and returns nothing.
func (i *cInstance) enter(ctx context.Context, name string) error {
	return i.outcome(ctx, C.wb_instance_enter(i.c,
		(*C.char)(unsafe.Pointer(unsafe.StringData(name))), C.size_t(len(name))))
}

// Call makes one exchange. It crosses into C once and allocates nothing while
// answers do not get longer.
func (i *cInstance) Call(ctx context.Context, request []byte) ([]byte, error) {
	if err := i.ready(ctx, request); err != nil {
		return nil, err
	}
	if i.guard != nil {
		defer i.guard.watch(ctx)()
	}
	if n := C.uint32_t(len(request)); n > i.c.capacity {
		if err := i.outcome(ctx, C.wb_instance_reserve(i.c, n)); err != nil {
			return nil, err
		}
	}
	data := (*C.uint8_t)(unsafe.SliceData(request))
	if code := C.wb_instance_call(C.uintptr_t(uintptr(unsafe.Pointer(i.c))), data, C.uint32_t(len(request))); code != C.WB_OK {
		return nil, i.outcome(ctx, code)
	}
	i.answer = append(i.answer[:0], unsafe.Slice((*byte)(unsafe.Pointer(i.c.data)), i.c.size)...)
	return i.answer, nil
}

// ready returns why a call cannot be made.
func (i *cInstance) ready(ctx context.Context, request []byte) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case i.c == nil:
		return errInstanceClosed
	case i.failed:
		return errInstanceFailed
	case len(request) > math.MaxInt32:
		return fmt.Errorf("the request has %d bytes, more than a guest can address", len(request))
	}
	return nil
}

// outcome turns the result of a glue function into an error.
func (i *cInstance) outcome(ctx context.Context, code C.int) error {
	if code == C.WB_OK {
		return nil
	}
	i.failed = true
	what := "answer"
	switch code {
	case C.WB_FAILED:
		return i.failure(ctx)
	case C.WB_NO_ROOM:
		return errGuestRoom
	case C.WB_BUFFER_OUTSIDE:
		what = "buffer"
	}
	return &exchange.OutOfBoundsError{
		What: what, Ptr: uint32(i.c.at), Size: uint32(i.c.size), Memory: uint64(i.c.bound),
	}
}

// failure takes the failure out of the instance, or names what ended ctx where
// that is what stopped the guest.
func (i *cInstance) failure(ctx context.Context) error {
	err := failure(&i.c.failure, i.tenant.refusal())
	if i.guard != nil && bool(C.wb_instance_resume(i.c)) {
		return fmt.Errorf("the guest was interrupted: %w", context.Cause(ctx))
	}
	return err
}

// Rest undoes what the guest has begun in its database and not finished, and returns
// an error where there was something.
func (i *cInstance) Rest() error { return i.tenant.rest() }

// Scope is this process.
func (i *cInstance) Scope() runtime.Scope { return runtime.Scope{Own: []int{os.Getpid()}} }

// Regions tells where the module's code and the instance's memory lie.
func (i *cInstance) Regions(context.Context) ([]runtime.Region, error) {
	if i.c == nil {
		return nil, errInstanceClosed
	}
	return i.regions(), nil
}

func (i *cInstance) regions() []runtime.Region {
	regions := []runtime.Region{i.module.code}
	if base := C.wb_instance_base(i.c); base != 0 {
		regions = append(regions, memoryAt(uintptr(base)))
	}
	return regions
}

// Close frees the instance and ends its session of the store. Closing it again
// does nothing.
func (i *cInstance) Close() error {
	if i.c == nil {
		return nil
	}
	i.guard.retire()
	if i.tenant != nil {
		cgo.Handle(i.c.tenant).Delete()
	}
	C.wb_instance_close(i.c)
	i.c = nil
	i.module.core.giveBack()
	return i.tenant.close()
}
