//go:build wasip1

package sqldb

import (
	"unsafe"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

// hostSQL does what a request asks and returns the length of the answer, which it has
// written if that is no more than capacity.
//
//go:wasmimport wasmbench sql
func hostSQL(request unsafe.Pointer, size uint32, answer unsafe.Pointer, capacity uint32) uint32

// hostSQLAgain writes the last answer.
//
//go:wasmimport wasmbench sql_again
func hostSQLAgain(answer unsafe.Pointer, capacity uint32) uint32

// A session is the host's for this instance, which does one thing at a time.
type session struct {
	request []byte
	answer  []byte
}

var only = session{answer: make([]byte, 4096)}

func open() (*session, error) { return &only, nil }

func done(*session) {}

// Run has the host do what a request asks.
func (s *session) Run(q sqlwire.Request) (Rows, error) {
	s.request = sqlwire.AppendRequest(s.request[:0], q)
	size := hostSQL(unsafe.Pointer(&s.request[0]), uint32(len(s.request)), unsafe.Pointer(&s.answer[0]), uint32(len(s.answer)))
	if size > uint32(len(s.answer)) {
		s.answer = make([]byte, size)
		size = hostSQLAgain(unsafe.Pointer(&s.answer[0]), size)
	}
	return sqlwire.ParseAnswer(s.answer[:size])
}
