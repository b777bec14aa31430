//go:build cgo

package engine

// #include "glue.h"
import "C"

import (
	"context"
	"sync"
)

// A guard stops an instance when a context ends. A nil guard does nothing.
type guard struct {
	engine *C.struct_wasm_engine_t

	mu       sync.Mutex
	instance *C.wb_instance // nil once the instance is gone
	turn     uint64         // of the call that is watched
}

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
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.turn == turn && g.instance != nil {
			C.wb_instance_stop(g.instance, g.engine)
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

// retire makes sure that nothing stops the instance any more.
func (g *guard) retire() {
	if g != nil {
		g.mu.Lock()
		g.instance = nil
		g.mu.Unlock()
	}
}
