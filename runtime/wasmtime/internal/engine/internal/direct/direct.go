//go:build cgo

// Package direct makes exchanges straight against Wasmtime's C API, with as
// little as possible around them: the yardstick of package engine's benchmarks.
package direct

// #cgo noescape exchange
// #cgo nocallback exchange
// #include <stdint.h>
// #include <string.h>
//
// void *wasmtime_func_call_unchecked(void *, const void *, void *, size_t, void **);
// uint8_t *wasmtime_memory_data(const void *, const void *);
// size_t wasmtime_memory_data_size(const void *, const void *);
//
// // The types of the parameters are such that cgo checks none of them.
// static const uint8_t *exchange(uintptr_t store, const uint64_t *func, const uint64_t *memory,
//		uint32_t at, const uint8_t *request, uint32_t size, uint32_t *len) {
//	void *context = (void *)store;
//	union { int32_t i32; uint64_t i64[2]; } raw = {.i32 = (int32_t)size};
//	void *trap = NULL;
//	memcpy(wasmtime_memory_data(context, memory) + at, request, size);
//	if (wasmtime_func_call_unchecked(context, func, &raw, 1, &trap) != NULL || trap != NULL)
//		return NULL;
//	uint32_t where = raw.i64[0] >> 32;
//	*len = (uint32_t)raw.i64[0];
//	if ((uint64_t)where + *len > wasmtime_memory_data_size(context, memory))
//		return NULL;
//	return wasmtime_memory_data(context, memory) + where;
// }
import "C"

import (
	"errors"
	"unsafe"

	"github.com/bytecodealliance/wasmtime-go/v39"
)

// An Instance is a live reactor.
type Instance struct {
	store            C.uintptr_t
	memory, function *C.uint64_t
	buffer           C.uint32_t
	answer           []byte
}

// New returns the instance of a store from its exports; at is the request
// buffer. The caller keeps all of them alive. A Memory and a Func hold nothing
// but the C value.
func New(store *wasmtime.Store, memory *wasmtime.Memory, answer *wasmtime.Func, at uint32) *Instance {
	return &Instance{
		store:    C.uintptr_t(uintptr(unsafe.Pointer(store.Context()))),
		memory:   (*C.uint64_t)(unsafe.Pointer(memory)),
		function: (*C.uint64_t)(unsafe.Pointer(answer)),
		buffer:   C.uint32_t(at),
	}
}

// Call makes one exchange; the request has at least one byte and fits the
// buffer.
func (i *Instance) Call(request []byte) ([]byte, error) {
	var size C.uint32_t
	data := C.exchange(i.store, i.function, i.memory, i.buffer,
		(*C.uint8_t)(&request[0]), C.uint32_t(len(request)), &size)
	if data == nil {
		return nil, errors.New("the exchange failed")
	}
	i.answer = append(i.answer[:0], unsafe.Slice((*byte)(data), size)...)
	return i.answer, nil
}
