package enginehost

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// A doubling store answers with the request, twice, and panics where that is empty.
// It has one session.
type doubling struct {
	begun bool  // what Rest undoes
	fails error // of Rest
}

func (d *doubling) Open() error               { return nil }
func (d *doubling) Session() (Session, error) { return d, nil }
func (d *doubling) Close() error              { return nil }

func (d *doubling) Do(dst, request []byte) []byte {
	if len(request) == 0 {
		panic("torn page")
	}
	return append(append(dst, request...), request...)
}

func (d *doubling) Rest() (bool, error) {
	open := d.begun
	d.begun = false
	return open, d.fails
}

// plainMemory is all of a guest's.
type plainMemory []byte

func (m plainMemory) Read(address, size uint32) ([]byte, bool) {
	if uint64(address)+uint64(size) > uint64(len(m)) {
		return nil, false
	}
	return m[address:][:size], true
}

// An answer is told as often as it is asked for, unless it is a long one, of which
// the client keeps nothing when it has told it.
func TestClientAnswers(t *testing.T) {
	const room = 8 << 20
	for _, size := range []uint32{1, mostAnswerKept / 4, mostAnswerKept, room / 2} {
		long := 2*size > mostAnswerKept
		for _, later := range []bool{false, true} { // whether there is too little room at first
			memory, c := make(plainMemory, 2*room), NewClient(new(doubling))
			capacity := 2 * size
			if later {
				capacity--
			}
			tell := func() (uint32, error) { return c.SQL(memory, 0, size, room, capacity) }
			for n := range 3 {
				copy(memory, bytes.Repeat([]byte{'x'}, int(size)))
				clear(memory[room:])
				got, err := tell()
				want, there := 2*size, capacity == 2*size
				if long && n == 2 || long && n == 1 && !later {
					want, there = 0, false
				}
				if err != nil || got != want || there != (memory[room+2*size-1] == 'x') {
					t.Errorf("size %d, later %t, %d: length %d, error %v; want %d", size, later, n, got, err, want)
				}
				capacity = 2 * size
				tell = func() (uint32, error) { return c.Again(memory, room, capacity) }
			}
			if cap(c.answer) > mostAnswerKept {
				t.Errorf("size %d: %d bytes are kept of an answer that was told", size, cap(c.answer))
			}
		}
	}
	memory, c := make(plainMemory, exchange.MaxAnswer), NewClient(new(doubling))
	if _, err := c.SQL(memory, 0, exchange.MaxAnswer, 0, 0); err == nil || c.answer != nil {
		t.Errorf("an answer over the limit: error %v, %d bytes are kept", err, cap(c.answer))
	}
}

// What a database panics with is the error of who asked.
func TestClientRecovers(t *testing.T) {
	c := NewClient(new(doubling))
	if _, err := c.SQL(plainMemory{}, 0, 0, 0, 0); err == nil || !strings.Contains(err.Error(), "torn page") {
		t.Errorf("error %v", err)
	}
}

// A long answer that was never fetched is not kept beyond the call.
func TestClientRestsWithoutItsAnswer(t *testing.T) {
	for _, size := range []uint32{1, mostAnswerKept / 4, mostAnswerKept, 1 << 20} {
		memory, c := make(plainMemory, size), NewClient(new(doubling))
		if length, err := c.SQL(memory, 0, size, 0, 0); err != nil || length != 2*size {
			t.Fatalf("size %d: length %d, error %v", size, length, err)
		}
		if err := c.Rest(); err != nil {
			t.Fatal(err)
		}
		if cap(c.answer) > mostAnswerKept {
			t.Errorf("size %d: %d bytes are kept", size, cap(c.answer))
		}
		want := 2 * size
		if want > mostAnswerKept {
			want = 0
		}
		if length, err := c.Again(memory, 0, 0); err != nil || length != want {
			t.Errorf("size %d: afterwards the length is %d, error %v; want %d", size, length, err, want)
		}
	}
}

func TestClientRests(t *testing.T) {
	var none *Client
	store := &doubling{begun: true}
	c := NewClient(store)
	if err := errors.Join(none.Rest(), c.Rest()); err != nil {
		t.Errorf("without a session: %v", err)
	}
	if _, err := c.SQL(make(plainMemory, 8), 0, 1, 4, 4); err != nil {
		t.Fatal(err)
	}
	if err := c.Rest(); err != ErrTransactionOpen {
		t.Errorf("in a transaction: %v", err)
	}
	if err := c.Rest(); err != nil {
		t.Errorf("after it: %v", err)
	}
	store.fails = errors.New("disk full")
	if err := c.Rest(); !errors.Is(err, store.fails) || !errors.Is(err, ErrTransactionOpen) {
		t.Errorf("where it cannot be undone: %v", err)
	}
}
