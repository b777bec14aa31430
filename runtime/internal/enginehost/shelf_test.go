package enginehost

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

type numbered struct {
	runtime.Instance
	n int
}

// The instance that was used last is used next, and who finds none waits.
func TestShelf(t *testing.T) {
	s := newShelf(3)
	for n := range 3 {
		s.put(numbered{n: n})
	}
	for _, want := range []int{2, 1} {
		if inst, err := s.take(t.Context()); err != nil || inst != (numbered{n: want}) {
			t.Errorf("took %v, error %v; want %d", inst, err, want)
		}
	}
	s.put(nil) // in the place of one that failed
	for _, want := range []runtime.Instance{nil, numbered{n: 0}} {
		if inst, ok := s.tryTake(); !ok || inst != want {
			t.Errorf("took %v, %t; want %v", inst, ok, want)
		}
	}
	if inst, ok := s.tryTake(); ok {
		t.Errorf("took %v where there was none", inst)
	}
	cause := errors.New("not any more")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if inst, err := s.take(ctx); err != cause {
		t.Errorf("took %v where there was none, error %v", inst, err)
	}
	taken := make(chan runtime.Instance)
	go func() {
		inst, _ := s.take(t.Context())
		taken <- inst
	}()
	s.put(numbered{n: 7})
	if inst := <-taken; inst != (numbered{n: 7}) {
		t.Errorf("who waited was given %v", inst)
	}
}
