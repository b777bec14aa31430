package engine_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
)

// lateContext ends for whoever watches a call while it runs, and for nobody
// else, but does not say why before the call has returned.
type lateContext struct {
	context.Context
	asked    atomic.Int32  // how often for Done
	watched  atomic.Bool   // whether the watcher waits for Err
	returned chan struct{} // closed after the call
}

var ended = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (c *lateContext) Done() <-chan struct{} {
	if c.asked.Add(1) > 1 {
		return ended
	}
	return nil
}

func (c *lateContext) Err() error {
	if c.asked.Load() < 2 {
		return nil
	}
	c.watched.Store(true)
	<-c.returned
	return context.Canceled
}

// A context that ends as its call returns leaves nothing behind, although wazero
// then closes the module without freeing what it has.
func TestLateInterruptLeavesNothing(t *testing.T) {
	countdown := []byte{
		0x41, 0x80, 0x80, 0xc0, 0x00, 0x21, 0x00, // i32.const 2^20 local.set 0
		0x03, 0x40, 0x20, 0x00, 0x41, 0x01, 0x6b, 0x22, 0x00, 0x0d, 0x00, 0x0b, // loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end
		0x42, 0x00,
	}
	img := open(t, engine.Options{Interruptible: true}, enginehost.Source{Module: wasmtest.Write(t, wasmtest.Reactor(countdown))})
	start(t, img)
	before := reserved(t)
	const wanted = 5
	for late := 0; late < wanted; {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		ctx := &lateContext{Context: t.Context(), returned: make(chan struct{})}
		_, err = inst.Call(ctx, nil)
		caught := ctx.watched.Load()
		close(ctx.returned)
		if err != nil {
			t.Fatal(err)
		}
		if caught { // and now closes the module
			for err == nil {
				time.Sleep(time.Microsecond)
				_, err = inst.(runtime.Mapper).Regions(t.Context())
			}
			late++
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
	if grown := reserved(t) - before; grown >= wanted*engine.DefaultMaxMemory {
		t.Errorf("%d closed instances still have %d MiB of the address space", wanted, grown>>20)
	}
}

// reserved returns the size of this process's address space, in bytes.
func reserved(t *testing.T) int {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(stat))[0])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
