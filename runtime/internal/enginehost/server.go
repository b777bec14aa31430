package enginehost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

const (
	// maxRequest is the longest body of a request, in bytes.
	maxRequest = exchange.MaxAnswer
	// maxPool is the largest pool, in instances: an engine's own limit is met
	// before it.
	maxPool = 1 << 16
)

// A server answers HTTP requests with instances of an image. Each request has
// an instance to itself: a new one, closed when it has answered, or one of a
// pool.
type server struct {
	img    runtime.Image
	pooled bool
	// idle holds the instances that wait for a request, and nil for one of the
	// pool that failed, which the next to take it replaces. Without a pool it
	// holds the instance with which the module was loaded, until the first
	// request takes it.
	idle chan runtime.Instance

	http   http.Server
	served chan struct{} // closed when the listener has ended; nil before listen
	failed error         // what ended it

	busy   sync.RWMutex // held for reading while a request is answered
	closed bool
}

// newServer opens the instances that there are before the first request. They
// are at least one, so that the module is loaded then, if it was not before:
// loaded is told when.
func newServer(ctx context.Context, img runtime.Image, pool int, loaded func(time.Time)) (*server, error) {
	if pool < 0 || pool > maxPool {
		return nil, fmt.Errorf("a pool of %d instances: it must have between 0, for none, and %d", pool, maxPool)
	}
	s := &server{img: img, pooled: pool > 0, idle: make(chan runtime.Instance, max(pool, 1))}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.answer)
	s.http.Handler = mux
	mark := func(p runtime.Phase, at time.Time) {
		if p == runtime.Load {
			loaded(at)
		}
	}
	for i := range cap(s.idle) {
		inst, err := img.Start(ctx, mark)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("instance %d of %d: %w", i+1, cap(s.idle), err), s.close())
		}
		s.idle <- inst
	}
	return s, nil
}

// listen begins to take connections and returns the address at which it does.
func (s *server) listen(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("serving on %s: %w", address, err)
	}
	s.served = make(chan struct{})
	go func() {
		s.failed = s.http.Serve(l)
		close(s.served)
	}()
	return l.Addr().String(), nil
}

// answer makes one exchange of a request.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if errors.As(err, new(*http.MaxBytesError)) {
		http.Error(w, fmt.Sprintf("the request is longer than %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		return
	}
	s.busy.RLock()
	defer s.busy.RUnlock()
	if s.closed {
		http.Error(w, "the service is closed", http.StatusServiceUnavailable)
		return
	}
	inst, err := s.take(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sound := false
	defer func() { s.giveBack(inst, sound) }()
	answer, err := inst.Call(r.Context(), request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sound = true
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	if _, err := w.Write(answer); err == nil && !s.pooled {
		// Nobody has to wait for the end of an instance that has answered.
		http.NewResponseController(w).Flush()
	}
}

// take returns an instance for a request.
func (s *server) take(ctx context.Context) (runtime.Instance, error) {
	var inst runtime.Instance
	if s.pooled {
		select {
		case inst = <-s.idle:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	} else {
		select {
		case inst = <-s.idle:
		default:
		}
	}
	if inst != nil {
		return inst, nil
	}
	inst, err := s.img.Start(ctx, func(runtime.Phase, time.Time) {})
	if err != nil {
		if s.pooled {
			s.idle <- nil
		}
		return nil, err
	}
	return inst, nil
}

// giveBack ends a request's use of an instance: it returns to its pool unless
// it has failed.
func (s *server) giveBack(inst runtime.Instance, sound bool) {
	if s.pooled && sound {
		s.idle <- inst
		return
	}
	if err := inst.Close(); err != nil {
		log.Printf("closing an instance: %v", err)
	}
	if s.pooled {
		s.idle <- nil
	}
}

// close ends the listener and its connections, waits for the guests that are
// still at work and closes the instances.
func (s *server) close() error {
	s.hangUp()
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.closeInstances()
}

var errGuestAtWork = errors.New("a guest is still at work on a request")

// closeIdle is close where no guest is at work; else it closes no instance and
// returns an error.
func (s *server) closeIdle() error {
	s.hangUp()
	if !s.busy.TryLock() {
		return errGuestAtWork
	}
	defer s.busy.Unlock()
	return s.closeInstances()
}

// hangUp ends the listener, so that its port is free, and its connections.
func (s *server) hangUp() {
	s.http.Close()
	if s.served != nil {
		<-s.served
	}
}

func (s *server) closeInstances() (err error) {
	s.closed = true
	for {
		select {
		case inst := <-s.idle:
			if inst != nil {
				err = errors.Join(err, inst.Close())
			}
		default:
			return err
		}
	}
}
