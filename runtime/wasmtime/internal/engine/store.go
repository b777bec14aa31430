//go:build cgo

package engine

// #include <stdlib.h>
// #include "glue.h"
import "C"

import (
	"errors"
	"runtime/cgo"
	"unsafe"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// What the store's functions are called, for C.
var (
	storeModule   = C.CString(enginehost.StoreModule)
	storeSQL      = C.CString(enginehost.StoreSQL)
	storeSQLAgain = C.CString(enginehost.StoreSQLAgain)
)

// defineStore adds the store's functions to a linker.
func defineStore(l *C.struct_wasmtime_linker) *C.struct_wasmtime_error {
	return C.wb_linker_define_store(l, storeModule, storeSQL, storeSQLAgain)
}

// A tenant is an instance as the store's functions know it.
type tenant struct {
	client *enginehost.Client
	memory guestMemory // while it asks
	err    error       // why it was refused, the last time
}

// newTenant returns nil for an instance that cannot ask.
func newTenant(asks bool, store enginehost.Store) *tenant {
	if !asks {
		return nil
	}
	return &tenant{client: enginehost.NewClient(store)}
}

var errNoGuestMemory = errors.New("the guest asks for its database and exports no unshared memory")

// ask calls f with the guest's memory, which may be nil, and keeps why it refuses.
func (t *tenant) ask(memory []byte, f func(*enginehost.Client, enginehost.Memory) (uint32, error)) (length uint32, err error) {
	if memory == nil {
		t.err = errNoGuestMemory
		return 0, t.err
	}
	t.memory = memory
	length, t.err = f(t.client, &t.memory)
	t.memory = nil
	return length, t.err
}

// refusal returns why a guest that trapped was refused, or nil. It may be called for
// nil.
func (t *tenant) refusal() error {
	if t == nil {
		return nil
	}
	return t.err
}

// rest is the client's Rest. It may be called for nil.
func (t *tenant) rest() error {
	if t == nil {
		return nil
	}
	return t.client.Rest()
}

// close ends the session. It may be called again, and for nil.
func (t *tenant) close() error {
	if t == nil {
		return nil
	}
	return t.client.Close()
}

// guestMemory is all of the memory of an instance.
type guestMemory []byte

func (m *guestMemory) Read(address, size uint32) ([]byte, bool) {
	end := uint64(address) + uint64(size)
	if end > uint64(len(*m)) {
		return nil, false
	}
	return (*m)[address:end:end], true
}

//export wasmbenchSQL
func wasmbenchSQL(handle C.uintptr_t, base *C.uint8_t, size C.size_t, args *C.wb_raw, length *C.uint32_t) C.bool {
	a := numbers(args, 4)
	return asked(handle, base, size, length, func(c *enginehost.Client, m enginehost.Memory) (uint32, error) {
		return c.SQL(m, a[0], a[1], a[2], a[3])
	})
}

//export wasmbenchSQLAgain
func wasmbenchSQLAgain(handle C.uintptr_t, base *C.uint8_t, size C.size_t, args *C.wb_raw, length *C.uint32_t) C.bool {
	a := numbers(args, 2)
	return asked(handle, base, size, length, func(c *enginehost.Client, m enginehost.Memory) (uint32, error) {
		return c.Again(m, a[0], a[1])
	})
}

// numbers returns the first n arguments of a function that takes i32.
func numbers(args *C.wb_raw, n int) (a [4]uint32) {
	for i, raw := range unsafe.Slice(args, n) {
		a[i] = *(*uint32)(unsafe.Pointer(&raw))
	}
	return a
}

// asked sets *length, or returns false where the guest is refused.
func asked(handle C.uintptr_t, base *C.uint8_t, size C.size_t, length *C.uint32_t, f func(*enginehost.Client, enginehost.Memory) (uint32, error)) C.bool {
	t := cgo.Handle(handle).Value().(*tenant)
	n, err := t.ask(unsafe.Slice((*byte)(unsafe.Pointer(base)), size), f) // nil for nil
	*length = C.uint32_t(n)
	return err == nil
}
