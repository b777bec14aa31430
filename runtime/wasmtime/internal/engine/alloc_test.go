//go:build cgo && !race

package engine

import (
	"context"
	"testing"
)

func TestCallAllocatesNothing(t *testing.T) {
	i := mustStart(t, open(t, Options{}), write(t, reactor(echo)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := i.Call(ctx, request); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a call makes %v allocations", n)
	}
}
