package measure

import (
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// quietHeap is how much garbage the harness lets gather before it collects
// between two samples, in bytes.
const quietHeap = 16 << 20

// ceiling bounds the heap of a harness whose collector is off, in bytes: past
// it the collector runs after all.
const ceiling = 1 << 30

var quietly struct {
	sync.Mutex
	depth         int
	percent       int
	limit         int64
	lastAllocated uint64
}

// quiet turns the harness's garbage collector off until the function that it
// returns is called, so that none of its cycles falls into a timed region.
func quiet() (restore func()) {
	quietly.Lock()
	defer quietly.Unlock()
	if quietly.depth++; quietly.depth == 1 {
		goruntime.GC()
		quietly.percent = debug.SetGCPercent(-1)
		quietly.limit = debug.SetMemoryLimit(-1)
		debug.SetMemoryLimit(min(ceiling, quietly.limit))
		quietly.lastAllocated = allocated()
	}
	return func() {
		quietly.Lock()
		defer quietly.Unlock()
		if quietly.depth--; quietly.depth == 0 {
			debug.SetGCPercent(quietly.percent)
			debug.SetMemoryLimit(quietly.limit)
		}
	}
}

// collect takes away what has gathered, between two samples.
func collect() {
	now := allocated()
	quietly.Lock()
	defer quietly.Unlock()
	if now-quietly.lastAllocated > quietHeap {
		goruntime.GC()
		quietly.lastAllocated = now
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
