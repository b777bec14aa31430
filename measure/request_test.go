package measure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A listening is a ServerImage whose services begin to listen after a delay and
// answer through handle.
type listening struct {
	delay  time.Duration
	handle http.HandlerFunc // nil listens and never answers
	dies   bool             // instead of listening
	ousted bool             // it has ended, and another listens in its place from the start
	within string           // the network namespace in which it listens, "" for this one
	scope  runtime.Scope

	mu                       sync.Mutex
	served, closed, unloaded int
}

func (l *listening) Bytes() int64                 { return 0 }
func (l *listening) Close() error                 { return nil }
func (l *listening) Unload(context.Context) error { l.unloaded++; return nil }

func (l *listening) Serve(_ context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	l.served++
	mark(runtime.Start, time.Now())
	s := &listeningService{image: l, address: address, ended: make(chan struct{})}
	if l.ousted {
		s.listen()
		return s, nil
	}
	s.timer = time.AfterFunc(l.delay, s.listen)
	return s, nil
}

type listeningService struct {
	image    *listening
	address  string
	timer    *time.Timer
	listener net.Listener
	ended    chan struct{}
}

func (s *listeningService) listen() {
	s.image.mu.Lock()
	defer s.image.mu.Unlock()
	if s.image.dies {
		close(s.ended)
		return
	}
	var err error
	if s.listener, err = listenIn(s.image.within, s.address); err != nil {
		close(s.ended)
		return
	}
	if s.image.ousted {
		close(s.ended)
	}
	if s.image.handle != nil {
		go http.Serve(s.listener, s.image.handle)
	}
}

func (s *listeningService) Address() string        { return s.address }
func (s *listeningService) Network() string        { return s.image.within }
func (s *listeningService) Ended() <-chan struct{} { return s.ended }
func (s *listeningService) Scope() runtime.Scope   { return s.image.scope }
func (s *listeningService) Explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; its log: the last line", err)
}

func (s *listeningService) Close() error {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.image.mu.Lock()
	defer s.image.mu.Unlock()
	s.image.closed++
	if s.listener != nil {
		return s.listener.Close()
	}
	return nil
}

func pong(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || r.URL.Path != "/" || string(body) != "ping" {
		http.Error(w, "what?", http.StatusBadRequest)
		return
	}
	io.WriteString(w, "pong")
}

func TestFirstRequests(t *testing.T) {
	img := &listening{delay: 20 * time.Millisecond, handle: pong}
	ts, err := measure.FirstRequests(t.Context(), img, &fake{}, 3, measure.StartOptions{Limit: time.Minute})
	if err != nil || len(ts) != 3 {
		t.Fatalf("%d timelines, error %v", len(ts), err)
	}
	for _, tl := range ts {
		if ready := tl.Durations[runtime.Start] + tl.Durations[runtime.Ready]; ready < img.delay {
			t.Errorf("ready after %v, but it listens after %v", ready, img.delay)
		}
		if tl.Durations[runtime.Served] <= 0 {
			t.Error("the response took no time")
		}
	}
	if img.served != 3 || img.closed != 3 || img.unloaded != 3 {
		t.Errorf("served %d, closed %d, unloaded %d times; want 3 each", img.served, img.closed, img.unloaded)
	}
}

// A service that is not up yet may refuse, hang up or answer 503.
func TestFirstRequestsTriesAgain(t *testing.T) {
	tries := 0
	img := &listening{handle: func(w http.ResponseWriter, r *http.Request) {
		switch tries++; tries {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			pong(w, r)
		}
	}}
	if _, err := measure.FirstRequests(t.Context(), img, &fake{}, 1, measure.StartOptions{Limit: time.Minute}); err != nil || tries != 3 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

func TestFirstRequestsFails(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such thing", code) }
	}
	wrong := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "pang") }
	tests := []struct {
		name  string
		img   *listening
		is    error
		as    any
		says  string
		limit time.Duration
	}{
		{name: "another status", img: &listening{handle: status(http.StatusNotFound)}, says: "no such thing"},
		{name: "wrong answer", img: &listening{handle: wrong}, as: new(*workload.WrongAnswer)},
		{name: "never answers", img: &listening{}, is: context.DeadlineExceeded, as: new(*measure.LimitError), says: "the last line", limit: 100 * time.Millisecond},
		{name: "never listens", img: &listening{delay: time.Hour}, as: new(*measure.LimitError), says: "connection refused", limit: 100 * time.Millisecond},
		{name: "unavailable for ever", img: &listening{handle: status(http.StatusServiceUnavailable)}, as: new(*measure.LimitError), says: "503", limit: 100 * time.Millisecond},
		{name: "port taken by a twin", img: &listening{handle: pong, ousted: true}, says: "another program"},
		{name: "ends", img: &listening{delay: time.Millisecond, dies: true}, says: "ended before it answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := tt.limit
			if limit == 0 {
				limit = time.Minute
			}
			ts, err := measure.FirstRequests(t.Context(), tt.img, &fake{}, 3, measure.StartOptions{Limit: limit})
			if err == nil || ts != nil {
				t.Fatalf("%d timelines, error %v", len(ts), err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || tt.as != nil && !errors.As(err, tt.as) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v", err)
			}
			if tt.img.served != 1 || tt.img.closed != 1 {
				t.Errorf("served %d, closed %d times; want 1 each", tt.img.served, tt.img.closed)
			}
		})
	}
}

// A page is a workload that serves HTTP of its own kind.
type page struct{ fake }

func (*page) Exchanges() []workload.Exchange {
	return []workload.Exchange{
		{Method: http.MethodGet, Target: "/page?n=1", Status: http.StatusTeapot, Answer: []byte("tea")},
		{Method: http.MethodGet, Target: "/", Status: http.StatusOK, Answer: []byte("not asked")},
	}
}

func TestFirstRequestsOfWeb(t *testing.T) {
	answer := func(status int, body string) *listening {
		return &listening{handle: func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.RequestURI() != "/page?n=1" || r.ContentLength != 0 {
				http.Error(w, "what?", http.StatusBadRequest)
				return
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}}
	}
	first := func(img *listening) error {
		_, err := measure.FirstRequests(t.Context(), img, &page{}, 1, measure.StartOptions{Limit: time.Minute})
		return err
	}
	if err := first(answer(http.StatusTeapot, "tea")); err != nil {
		t.Error(err)
	}
	if err := first(answer(http.StatusOK, "tea")); err == nil || !strings.Contains(err.Error(), "where 418 was expected") {
		t.Errorf("another status: error %v", err)
	}
	if err := first(answer(http.StatusTeapot, "pea")); !errors.As(err, new(*workload.WrongAnswer)) {
		t.Errorf("another body: error %v", err)
	}
}

// A service in another network is asked from there, and what runs afterwards is in
// this one.
func TestFirstRequestsInNetwork(t *testing.T) {
	img := &listening{handle: pong, within: newNetwork(t)}
	// Nobody listens on its port here: it would be met from a thread that had not
	// gone there.
	if ts, err := measure.FirstRequests(t.Context(), img, &fake{}, 50, measure.StartOptions{Limit: time.Minute}); err != nil || len(ts) != 50 {
		t.Fatalf("%d timelines, error %v", len(ts), err)
	}
	allHere(t)
	if ts, err := measure.FirstRequests(t.Context(), &listening{handle: pong}, &fake{}, 3, measure.StartOptions{Limit: time.Minute}); err != nil || len(ts) != 3 {
		t.Errorf("here again: %d timelines, error %v", len(ts), err)
	}
	nowhere := &listening{handle: pong, within: filepath.Join(t.TempDir(), "network")}
	if _, err := measure.FirstRequests(t.Context(), nowhere, &fake{}, 1, measure.StartOptions{Limit: time.Minute}); !errors.Is(err, fs.ErrNotExist) || nowhere.closed != 1 {
		t.Errorf("nowhere: error %v, closed %d times", err, nowhere.closed)
	}
}

func TestFirstRequestsHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	img := &listening{handle: func(_ http.ResponseWriter, r *http.Request) {
		cancel(why)
		<-r.Context().Done()
	}}
	if _, err := measure.FirstRequests(ctx, img, &fake{}, 3, measure.StartOptions{}); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	if img.served != 1 || img.closed != 1 {
		t.Errorf("served %d, closed %d times; want 1 each", img.served, img.closed)
	}
}
