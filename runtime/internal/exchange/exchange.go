// Package exchange names what a reactor exports and how it is called.
//
// A reactor is a WASI preview 1 module that exports its memory and
//
//	_initialize()                        run once after instantiation; may be absent
//	wasmbench_request(size i32) ptr i32  a buffer in memory for a request of size bytes
//	wasmbench_answer(size i32) i64       answers the request of size bytes in that buffer
//
// wasmbench_request returns 0 where there is no room. The buffer stays where it
// is until a larger one is asked for. wasmbench_answer returns where the answer
// is, the address in the upper 32 bits and its length in the lower; the answer
// is valid until the next call.
package exchange

import "fmt"

// The exports of a reactor.
const (
	Memory     = "memory"
	Initialize = "_initialize"
	Request    = "wasmbench_request"
	Answer     = "wasmbench_answer"
)

// Entry is the export of a command.
const Entry = "_start"

// MaxAnswer is the longest answer that is accepted, in bytes.
const MaxAnswer = 64 << 20

// Unpack takes the result of wasmbench_answer apart.
func Unpack(result uint64) (ptr, size uint32) { return uint32(result >> 32), uint32(result) }

// An OutOfBoundsError is an answer or a buffer that does not lie in the guest's
// memory, or that is longer than MaxAnswer.
type OutOfBoundsError struct {
	What      string
	Ptr, Size uint32
	Memory    uint64 // bytes of memory that the guest has
}

func (e *OutOfBoundsError) Error() string {
	return fmt.Sprintf("the guest's %s of %d bytes at %#x is outside its memory of %d bytes or over the limit of %d",
		e.What, e.Size, e.Ptr, e.Memory, MaxAnswer)
}
