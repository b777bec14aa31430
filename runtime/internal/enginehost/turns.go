package enginehost

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// CancelFile is the descriptor from which a host that holds instances reads the
// turns of queries that it is to end, in eight bytes each, the least significant
// first. It is there where queries have turns.
const CancelFile = 3

// errCancelled is why the context of a query ends.
var errCancelled = errors.New("the harness has given it up")

// turns gives each query that has one a context that ends when the harness names
// its turn. The name of one that has ended, or that is still on its way, may
// come too.
type turns struct {
	open func() io.Reader // what they are read from; nil once it is being read

	mu     sync.Mutex
	named  uint64 // the latest that the harness has named
	turn   uint64 // of the query under way
	cancel context.CancelCauseFunc
}

// begin returns the context of a query, and what to call when that has ended.
func (t *turns) begin(ctx context.Context, turn uint64) (context.Context, func()) {
	if turn == 0 {
		return ctx, func() {}
	}
	if t.open != nil {
		go t.listen(t.open())
		t.open = nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn, t.cancel = turn, cancel
	if t.named == turn {
		cancel(errCancelled)
	}
	return ctx, func() { cancel(nil) }
}

// listen reads until the harness has ended.
func (t *turns) listen(r io.Reader) {
	var turn uint64
	for binary.Read(r, binary.LittleEndian, &turn) == nil {
		t.mu.Lock()
		t.named = turn
		if t.turn == turn {
			t.cancel(errCancelled)
		}
		t.mu.Unlock()
	}
}
