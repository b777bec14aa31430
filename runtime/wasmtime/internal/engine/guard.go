//go:build cgo

package engine

// #include "glue.h"
import "C"

import (
	"context"
	"sync"
	"time"
)

// A guard stops an instance when a context ends. A nil guard does nothing.
type guard struct {
	engine *C.struct_wasm_engine_t

	mu       sync.Mutex
	instance *C.wb_instance // nil once the instance is gone
	turn     uint64         // of the call that is watched
}

// again is after how long an instance that has not stopped is told again. It can
// miss the first time: where it looked before it was told, and then, because
// another instance was told too, is to look at the epoch after this one.
const again = time.Millisecond

// watch stops the instance when ctx ends, until the function that it returns
// is called.
func (g *guard) watch(ctx context.Context) (release func()) {
	if g == nil || ctx.Done() == nil {
		return func() {}
	}
	g.mu.Lock()
	turn := g.turn
	g.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		for g.stop(turn) {
			time.Sleep(again)
		}
	})
	return func() {
		stop()
		g.mu.Lock()
		g.turn++
		if g.instance != nil {
			C.wb_instance_resume(g.instance)
		}
		g.mu.Unlock()
	}
}

// stop tells the instance to stop unless the call is over, which it returns.
func (g *guard) stop(turn uint64) (told bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn != turn || g.instance == nil {
		return false
	}
	C.wb_instance_stop(g.instance, g.engine)
	return true
}

// retire makes sure that nothing stops the instance any more.
func (g *guard) retire() {
	if g != nil {
		g.mu.Lock()
		g.instance = nil
		g.mu.Unlock()
	}
}
