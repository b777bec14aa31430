package load

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
)

// A run is one call of Run. Times in it are nanoseconds since clock.
type run struct {
	plan  *settled
	clock time.Time

	// The times of the run are known once start is closed, when every user has
	// tried to connect. Before that they are never.
	start      chan struct{}
	zero       int64 // the warm-up begins
	begin, end int64 // what counts

	begun, ended       chan struct{} // closed when a thread has passed begin, end
	onceBegun, onceEnd sync.Once
}

// never is the time of what has no time yet.
const never = math.MaxInt64

func newRun(plan *settled) *run {
	return &run{
		plan: plan, clock: time.Now(), zero: never, begin: never, end: never,
		begun: make(chan struct{}), ended: make(chan struct{}), start: make(chan struct{}),
	}
}

func (r *run) now() int64 { return int64(time.Since(r.clock)) }

// do runs the threads and waits until all have ended.
func (r *run) do(ctx context.Context, s Scenario, events Events) (*Result, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	loops, err := r.loops(s)
	defer func() {
		for _, l := range loops {
			l.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	var ready, over sync.WaitGroup
	for _, l := range loops {
		ready.Add(1)
		over.Go(func() {
			done := sync.OnceFunc(ready.Done)
			defer done() // also where it fails
			err := osthread.Do(func() error { return l.drive(ctx, done) }, processors(r.plan.CPUs), network(r.plan.Network))
			if err != nil {
				stop(err)
			}
		})
	}
	defer context.AfterFunc(ctx, func() {
		for _, l := range loops {
			l.wake.write()
		}
	})()
	ready.Wait()
	r.zero = r.now()
	r.begin = r.zero + int64(r.plan.Warmup)
	r.end = r.begin + int64(r.plan.Duration)
	close(r.start)

	finished := make(chan struct{})
	go func() {
		over.Wait()
		close(finished)
	}()
	for _, e := range []struct {
		reached chan struct{}
		at      int64
		tell    func(time.Time)
	}{{r.begun, r.begin, events.Begin}, {r.ended, r.end, events.End}} {
		select {
		case <-e.reached:
			if e.tell != nil && ctx.Err() == nil {
				e.tell(r.clock.Add(time.Duration(e.at)))
			}
		case <-ctx.Done():
		}
	}
	<-finished
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	tallies := make([]*tally, len(loops))
	for i, l := range loops {
		tallies[i] = &l.tally
	}
	return merge(r.plan, tallies), nil
}

// loops makes the threads' parts. On error it returns those that were made.
func (r *run) loops(s Scenario) ([]*loop, error) {
	p := r.plan
	loops := make([]*loop, 0, p.Threads)
	for i := range p.Threads {
		l, err := newLoop(r, uint64(i))
		if err != nil {
			return loops, err
		}
		loops = append(loops, l)
	}
	for n := range p.Connections {
		l := loops[n%len(loops)]
		l.conns = append(l.conns, &conn{
			loop:   l,
			index:  int32(len(l.conns)),
			number: n,
			user:   s.User(n),
			target: p.targets[n%len(p.targets)].own(),
			fd:     -1,
			queue:  make([]request, p.Pipelining),
		})
	}
	return loops, nil
}

// A waker is an eventfd by which another goroutine ends a thread's wait.
type waker struct {
	mu sync.Mutex
	fd int
}

func (w *waker) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		unix.Write(w.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it fails only where one has been written already
	}
}

func (w *waker) retire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		unix.Close(w.fd)
		w.fd = -1
	}
}
