package enginehost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

const (
	// maxRequest is the longest body of a request, in bytes.
	maxRequest = exchange.MaxAnswer
	// maxPool is the largest pool, in instances: an engine's own limit is met
	// before it.
	maxPool = 1 << 16
	// patience is how long a client may take to receive an answer.
	patience = time.Minute
	// buffered is how long an answer is that net/http holds back, in bytes, until
	// its handler has returned: to write it waits for no client.
	buffered = 2 << 10
)

// serving says how a server asks its instances.
type serving struct {
	pool int  // how many are kept; 0 takes a new one for each request
	web  bool // whether they are asked as package web has it, rather than with the body of a POST to /
}

// A server answers HTTP requests with instances of an image. Each request has
// an instance to itself: a new one, closed when it has answered, or one of a
// pool.
type server struct {
	img    runtime.Image
	pooled bool
	web    bool
	// idle holds the instances that wait for a request, and nil for one of the
	// pool that failed, which the next to take it replaces. Without a pool it
	// holds the instance with which the module was loaded, until the first
	// request takes it.
	idle *shelf

	http   http.Server
	served chan struct{} // closed when the listener has ended; nil before listen
	failed error         // what ended it

	busy   sync.RWMutex // held for reading while a request has an instance
	closed bool
}

// newServer opens the instances that there are before the first request. They
// are at least one, so that the module is loaded then, if it was not before:
// loaded is told when.
func newServer(ctx context.Context, img runtime.Image, how serving, loaded func(time.Time)) (*server, error) {
	if how.pool < 0 || how.pool > maxPool {
		return nil, fmt.Errorf("a pool of %d instances: it must have between 0, for none, and %d", how.pool, maxPool)
	}
	s := &server{img: img, pooled: how.pool > 0, web: how.web, idle: newShelf(max(how.pool, 1))}
	s.http.Handler = http.HandlerFunc(s.answer)
	if !how.web {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /{$}", s.answer)
		s.http.Handler = mux
	}
	mark := func(p runtime.Phase, at time.Time) {
		if p == runtime.Load {
			loaded(at)
		}
	}
	for i := range max(how.pool, 1) {
		inst, err := img.Start(ctx, mark)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("instance %d of %d: %w", i+1, max(how.pool, 1), err), s.close())
		}
		s.idle.put(inst)
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

// answer makes one exchange of a request. What cannot be asked is the client's
// fault, 4xx.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	memory := memories.Get().(*bytes.Buffer)
	defer recycle(memory)
	if err := s.read(memory, w, r); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			http.Error(w, fmt.Sprintf("the request is longer than %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
		} else {
			http.Error(w, "reading the request: "+err.Error(), http.StatusBadRequest)
		}
		return
	}
	u := use{server: s}
	defer u.end()
	response, err := u.ask(r.Context(), memory.Bytes())
	if err != nil {
		u.end()
		http.Error(w, err.Error(), failed(err))
		return
	}
	if s.pooled {
		// Others wait for the instance, and for no client that takes its time.
		memory.Reset()
		memory.Write(response.Body)
		response.Body = memory.Bytes()
		u.end()
	}
	controller := http.NewResponseController(w)
	if !s.pooled || len(response.Body) > buffered {
		controller.SetWriteDeadline(time.Now().Add(patience))
	}
	w.Header().Set("Content-Type", response.ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(response.Body)))
	w.WriteHeader(response.Status)
	if _, err := w.Write(response.Body); err == nil && !s.pooled {
		// Nobody has to wait for the end of an instance that has answered.
		controller.Flush()
	}
}

// memories are of requests, and of answers, that were sent, for others.
var memories = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// mostKept is the longest memory that is used again, in bytes: for an answer of
// half of it, which a buffer may have grown beyond.
const mostKept = 2 << 20

func recycle(memory *bytes.Buffer) {
	if memory.Cap() <= mostKept {
		memory.Reset()
		memories.Put(memory)
	}
}

// read reads into dst what a guest is asked.
func (s *server) read(dst *bytes.Buffer, w http.ResponseWriter, r *http.Request) error {
	if s.web {
		dst.Write(web.Request{Method: r.Method, Target: r.RequestURI}.Append(dst.AvailableBuffer()))
	}
	body := r.Body
	if r.ContentLength < 0 || r.ContentLength > maxRequest { // net/http reads no more than that length
		body = http.MaxBytesReader(w, body, maxRequest)
	}
	_, err := dst.ReadFrom(body)
	return err
}

// A use is that of an instance by one request.
type use struct {
	server *server
	begun  bool             // and not ended
	inst   runtime.Instance // nil where there is none
	sound  bool             // whether it can be asked again
}

// ask has an instance answer. The response is the instance's until the use ends.
func (u *use) ask(ctx context.Context, request []byte) (response web.Response, err error) {
	u.server.busy.RLock()
	u.begun = true
	if u.server.closed {
		return response, errServiceClosed
	}
	if u.inst, err = u.server.take(ctx); err != nil {
		return response, err
	}
	answer, err := u.inst.Call(ctx, request)
	if err != nil {
		return response, err
	}
	if r, ok := u.inst.(rester); ok {
		if err := r.Rest(); err != nil {
			return response, err
		}
	}
	if response, err = u.server.parse(answer); err != nil {
		return response, err
	}
	u.sound = true
	return response, nil
}

// A rester is an instance that can have begun what must not outlive a call. Rest
// undoes it, and returns an error where there was something.
type rester interface{ Rest() error }

// end gives the instance back. It may be called again.
func (u *use) end() {
	if !u.begun {
		return
	}
	u.begun = false
	defer u.server.busy.RUnlock()
	if u.inst != nil {
		u.server.giveBack(u.inst, u.sound)
	}
}

// errNoResponse is wrapped by the errors about what a guest answers where it is to
// be a response.
var errNoResponse = errors.New("the guest answered what is no response")

// parse makes the response of a guest's answer.
func (s *server) parse(answer []byte) (web.Response, error) {
	if !s.web {
		return web.Response{Status: http.StatusOK, ContentType: "application/octet-stream", Body: answer}, nil
	}
	response, err := web.ParseResponse(answer)
	switch {
	case err != nil:
		return response, fmt.Errorf("%w: %w", errNoResponse, err)
	case response.Status < http.StatusOK:
		return response, fmt.Errorf("%w: the status %d, after which another is to come", errNoResponse, response.Status)
	case len(response.Body) > 0 && (response.Status == http.StatusNoContent || response.Status == http.StatusNotModified):
		return response, fmt.Errorf("%w: the status %d with a body of %d bytes", errNoResponse, response.Status, len(response.Body))
	}
	return response, nil
}

var errServiceClosed = errors.New("the service is closed")

// failed is the status of a request without an answer: another may find an
// instance where this process has as much as it can have.
func failed(err error) int {
	switch {
	case errors.As(err, new(*runtime.Exhausted)), errors.Is(err, errServiceClosed):
		return http.StatusServiceUnavailable
	case errors.Is(err, errNoResponse):
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// take returns an instance for a request.
func (s *server) take(ctx context.Context) (runtime.Instance, error) {
	var inst runtime.Instance
	if s.pooled {
		var err error
		if inst, err = s.idle.take(ctx); err != nil {
			return nil, err
		}
	} else {
		inst, _ = s.idle.tryTake()
	}
	if inst != nil {
		return inst, nil
	}
	inst, err := s.img.Start(ctx, func(runtime.Phase, time.Time) {})
	if err != nil {
		if s.pooled {
			s.idle.put(nil)
		}
		return nil, err
	}
	return inst, nil
}

// giveBack ends a request's use of an instance: it returns to its pool unless
// it has failed.
func (s *server) giveBack(inst runtime.Instance, sound bool) {
	if s.pooled && sound {
		s.idle.put(inst)
		return
	}
	if err := inst.Close(); err != nil {
		log.Printf("closing an instance: %v", err)
	}
	if s.pooled {
		s.idle.put(nil)
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
		inst, ok := s.idle.tryTake()
		if !ok {
			return err
		}
		if inst != nil {
			err = errors.Join(err, inst.Close())
		}
	}
}
