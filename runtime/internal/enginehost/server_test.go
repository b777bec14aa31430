package enginehost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// mostAnswer bounds the answers of a fake, in bytes.
const mostAnswer = 1 << 20

// A fake is an image whose instances answer with the request, in capitals.
type fake struct {
	refuse  atomic.Bool // fail to start
	starts  atomic.Int32
	open    atomic.Int32  // instances
	calls   chan struct{} // told of each call for "wait"
	release chan struct{} // ends those calls
	closed  atomic.Bool
}

func newFake() *fake { return &fake{calls: make(chan struct{}), release: make(chan struct{})} }

var errRefused = errors.New("no instance today")

func (f *fake) Start(_ context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if f.refuse.Load() {
		return nil, errRefused
	}
	f.starts.Add(1)
	f.open.Add(1)
	mark(runtime.Load, time.Now())
	mark(runtime.Ready, time.Now())
	return &fakeInstance{fake: f}, nil
}

func (f *fake) Bytes() int64 { return 0 }
func (f *fake) Close() error {
	f.closed.Store(true)
	return nil
}

type fakeInstance struct {
	*fake
	busy   atomic.Bool
	failed bool
	answer []byte
}

func (i *fakeInstance) Call(ctx context.Context, request []byte) ([]byte, error) {
	if !i.busy.CompareAndSwap(false, true) {
		return nil, errors.New("two calls at a time")
	}
	defer i.busy.Store(false)
	switch {
	case i.failed:
		return nil, errors.New("called after it had failed")
	case string(request) == "fail":
		i.failed = true
		return nil, errors.New("the guest failed as it was told to")
	case string(request) == "panic":
		panic(http.ErrAbortHandler)
	case string(request) == "until ended":
		i.calls <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case string(request) == "wait":
		i.calls <- struct{}{}
		<-i.release
	}
	i.answer = append(i.answer[:0], bytes.ToUpper(request[:min(len(request), mostAnswer)])...)
	return i.answer, nil
}

func (i *fakeInstance) Scope() runtime.Scope { return runtime.Scope{} }

func (i *fakeInstance) Close() error {
	i.open.Add(-1)
	return nil
}

func open(t *testing.T, f *fake, pool int) *server {
	t.Helper()
	s, err := newServer(t.Context(), f, pool, func(time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listening returns the URL of a server that the test closes.
func listening(t *testing.T, f *fake, pool int) (*server, string) {
	t.Helper()
	s := open(t, f, pool)
	address, err := s.listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d instances are left", n)
		}
	})
	return s, "http://" + address + "/"
}

func post(client *http.Client, url, body string) (status int, answer string, err error) {
	r, err := client.Post(url, "application/octet-stream", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// client returns a client that keeps as many connections as the tests use.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 50}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// pools runs f without a pool and with one.
func pools(t *testing.T, f func(t *testing.T, pool int)) {
	for _, pool := range []int{0, 2} {
		t.Run(fmt.Sprintf("pool=%d", pool), func(t *testing.T) { f(t, pool) })
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"right", "POST", "/", "hello", 200, "HELLO"},
		{"empty", "POST", "/", "", 200, ""},
		{"long", "POST", "/", strings.Repeat("x", mostAnswer), 200, strings.Repeat("X", mostAnswer)},
		{"a query", "POST", "/?a=b", "hello", 200, "HELLO"},
		{"another path", "POST", "/other", "hello", 404, ""},
		{"another method", "GET", "/", "", 405, ""},
		{"a failing guest", "POST", "/", "fail", 500, "failed as it was told"},
		{"the one after it", "POST", "/", "hello", 200, "HELLO"},
	}
	pools(t, func(t *testing.T, pool int) {
		_, url := listening(t, newFake(), pool)
		for range 3 { // more than there are in the pool
			for _, tt := range tests {
				request, err := http.NewRequest(tt.method, strings.TrimSuffix(url, "/")+tt.path, strings.NewReader(tt.body))
				if err != nil {
					t.Fatal(err)
				}
				r, err := client(t).Do(request)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != tt.status || !strings.Contains(string(body), tt.says) {
					t.Errorf("%s: status %d, body %.80q, error %v; want %d", tt.name, r.StatusCode, body, err, tt.status)
				}
				if tt.status != 200 {
					continue
				}
				if string(body) != tt.says || r.ContentLength != int64(len(tt.says)) || r.Header.Get("Content-Type") != "application/octet-stream" {
					t.Errorf("%s: header %v, %d bytes", tt.name, r.Header, r.ContentLength)
				}
			}
		}
	})
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestRequestIsBounded(t *testing.T) {
	s := open(t, newFake(), 0)
	for _, tt := range []struct{ size, status int }{{maxRequest, 200}, {maxRequest + 1, 413}} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, int64(tt.size))))
		if w.Code != tt.status {
			t.Errorf("a request of %d bytes: status %d, want %d", tt.size, w.Code, tt.status)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestConcurrentRequests(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, pool)
		const senders, each = 50, 20
		c := client(t)
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				for j := range each {
					body := fmt.Sprintf("from %d: %d", i, j)
					if status, answer, err := post(c, url, body); err != nil || status != 200 || answer != strings.ToUpper(body) {
						t.Errorf("%q gave %d, %q, %v", body, status, answer, err)
					}
				}
			})
		}
		wg.Wait()
		want := int32(pool)
		if pool == 0 {
			want = senders * each // one a request, the first of them opened ahead
		}
		if n := f.starts.Load(); n != want {
			t.Errorf("%d instances were started, want %d", n, want)
		}
	})
}

// A request whose instance cannot be started, or whose handler panics, costs
// the pool nothing.
func TestPoolKeepsItsSize(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, pool)
		c := client(t)
		for _, body := range []string{"fail", "panic", "fail", "panic"} {
			post(c, url, body)
		}
		f.refuse.Store(true)
		for range 5 {
			if status, answer, err := post(c, url, "hello"); err != nil || status != 500 || !strings.Contains(answer, errRefused.Error()) {
				t.Errorf("without an instance: %d, %q, %v", status, answer, err)
			}
		}
		f.refuse.Store(false)
		for range 5 {
			if status, answer, err := post(c, url, "hello"); err != nil || status != 200 || answer != "HELLO" {
				t.Errorf("with one again: %d, %q, %v", status, answer, err)
			}
		}
	})
}

// Requests for which there is no instance wait, no longer than their clients.
func TestWaitingForThePool(t *testing.T) {
	f := newFake()
	_, url := listening(t, f, 1)
	c := client(t)
	first := make(chan string)
	go func() {
		_, answer, err := post(c, url, "wait")
		first <- fmt.Sprint(answer, err)
	}()
	<-f.calls
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request beside one that takes the whole pool gave %v", err)
	}
	close(f.release)
	if answer := <-first; answer != "WAIT<nil>" {
		t.Errorf("the request that took it was answered %s", answer)
	}
	if _, answer, err := post(c, url, "hello"); answer != "HELLO" {
		t.Errorf("the next was answered %q, %v", answer, err)
	}
}

// close waits for a guest at work; closeIdle leaves its instance alone.
func TestCloseWithAGuestAtWork(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		s := open(t, f, pool)
		address, err := s.listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, _, err := post(client(t), "http://"+address+"/", "wait")
			ended <- err
		}()
		<-f.calls
		h := holder{img: f, services: map[int]*server{1: s}}
		if err := h.close(); !errors.Is(err, errGuestAtWork) || f.closed.Load() || f.open.Load() != int32(max(pool, 1)) {
			t.Errorf("closing everything gave %v, image closed: %t, %d instances left", err, f.closed.Load(), f.open.Load())
		}
		if err := <-ended; err == nil {
			t.Error("the connection outlived the service")
		}
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling a service that was closed: %v", err)
		}
		close(f.release)
		if err := s.close(); err != nil || f.open.Load() != 0 {
			t.Errorf("closing when the guest may return: %v, %d instances left", err, f.open.Load())
		}
	})
}

func TestServersThatCannotBe(t *testing.T) {
	f := newFake()
	for _, pool := range []int{-1, maxPool + 1} {
		if _, err := newServer(t.Context(), f, pool, func(time.Time) {}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(pool)) {
			t.Errorf("a pool of %d: %v", pool, err)
		}
	}
	f.refuse.Store(true)
	if _, err := newServer(t.Context(), f, 3, func(time.Time) {}); !errors.Is(err, errRefused) {
		t.Errorf("an image that does not start: %v", err)
	}
	f.refuse.Store(false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := open(t, f, 3)
	if _, err := s.listen(l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := s.close(); err != nil || f.open.Load() != 0 {
		t.Errorf("closing it: %v, %d instances left", err, f.open.Load())
	}
}

// Services live beside the exchange with the harness, and end with it.
func TestHeldServices(t *testing.T) {
	f := newFake()
	ask, end := held(t, f)
	fresh := ask(Query{Op: OpServe, Address: "127.0.0.1:0"})
	pooled := ask(Query{Op: OpServe, Address: "127.0.0.1:0", N: 2})
	inst := ask(Query{Op: OpStart})
	for _, r := range []Reply{fresh, pooled} {
		if _, answer, err := post(client(t), "http://"+r.Address+"/", "hello"); answer != "HELLO" {
			t.Errorf("answer %q, error %v, reply %+v", answer, err, r)
		}
	}
	if r := ask(Query{Op: OpCall, ID: inst.ID, Body: []byte("hello")}); string(r.Body) != "HELLO" {
		t.Errorf("an instance beside the services answered %+v", r)
	}
	if r := ask(Query{Op: OpServe, Address: pooled.Address}); !strings.Contains(r.Err, pooled.Address) {
		t.Errorf("a port that is taken: %+v", r)
	}
	if r := ask(Query{Op: OpStopServe, ID: fresh.ID}); r.Err != "" {
		t.Error(r.Err)
	}
	if r := ask(Query{Op: OpStopServe, ID: fresh.ID}); r.Err == "" {
		t.Error("a service was stopped twice")
	}
	if err := end(); err != nil || f.open.Load() != 0 || !f.closed.Load() {
		t.Errorf("at the end: %v, %d instances left, image closed: %t", err, f.open.Load(), f.closed.Load())
	}
}

func TestServeArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		pool int
		rest []string
	}{
		{[]string{"a:1", "m"}, 0, []string{"a:1", "m"}},
		{[]string{"-pool", "3", "a:1", "m", "c"}, 3, []string{"a:1", "m", "c"}},
		{[]string{"-pool=3", "a:1", "m"}, 3, []string{"a:1", "m"}},
		{[]string{"-pool=x", "a:1", "m"}, 0, nil},
		{[]string{"-other", "a:1", "m"}, 0, nil},
	} {
		if pool, rest := poolFlag(tt.args); pool != tt.pool || !slices.Equal(rest, tt.rest) {
			t.Errorf("%q: %d, %q", tt.args, pool, rest)
		}
	}
}
