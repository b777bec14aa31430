//go:build wasip1 && reactor

package driver

import "unsafe"

// What the host reads and writes is kept here, out of the collector's reach.
var (
	request  []byte
	response []byte
)

//go:wasmexport wasmbench_request
func requestBuffer(size uint32) uint32 {
	request = room(request, int(max(size, 1)))
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(request))))
}

//go:wasmexport wasmbench_answer
func answerRequest(size uint32) uint64 {
	response = answer(response[:0], request[:size])
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(response))))<<32 | uint64(len(response))
}
