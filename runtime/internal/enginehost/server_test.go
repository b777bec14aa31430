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
	used    atomic.Bool // fail to start, for something is used up
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
	if f.used.Load() {
		return nil, fmt.Errorf("starting a fake: %w", &runtime.Exhausted{What: "fakes", Why: "there are enough", Fix: "make do"})
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
	begun  bool // what must not outlive the call
	answer []byte
}

func (i *fakeInstance) Rest() error {
	if i.begun {
		i.failed = true
		return ErrTransactionOpen
	}
	return nil
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
	case bytes.HasPrefix(request, []byte("SAY ")):
		_, answer, _ := bytes.Cut(request, []byte("\n"))
		return answer, nil
	case string(request) == "begin":
		i.begun = true
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

func open(t *testing.T, f *fake, how serving) *server {
	t.Helper()
	s, err := newServer(t.Context(), f, how, func(time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listening returns the URL of a server that the test closes.
func listening(t *testing.T, f *fake, how serving) (*server, string) {
	t.Helper()
	s := open(t, f, how)
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
		_, url := listening(t, newFake(), serving{pool: pool})
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
	s := open(t, newFake(), serving{})
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

// patient is a response that keeps what it is given a deadline for.
type patient struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (p *patient) SetWriteDeadline(until time.Time) error {
	p.until = until
	return nil
}

func (p *patient) Flush() {}

// A client that does not read is waited for for a while only: where it may keep an
// instance always, else where its answer is longer than what is held back for it.
func TestAnswersHaveADeadline(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		s := open(t, newFake(), serving{pool: pool})
		for _, size := range []int{0, buffered, buffered + 1, mostAnswer} {
			w := &patient{ResponseRecorder: httptest.NewRecorder()}
			begun := time.Now()
			s.http.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/", io.LimitReader(zeros{}, int64(size))))
			if w.Code != 200 || w.Body.Len() != size {
				t.Errorf("a request of %d bytes: status %d, %d bytes", size, w.Code, w.Body.Len())
			}
			if limited := !w.until.Before(begun.Add(patience)); limited != (pool == 0 || size > buffered) || !limited && !w.until.IsZero() {
				t.Errorf("an answer of %d bytes may take until %v after %v", size, w.until, begun)
			}
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

// A blocked response is to a client that does not read before it is told to.
type blocked struct {
	*httptest.ResponseRecorder
	writing chan struct{} // told when it waits
	read    chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	b.writing <- struct{}{}
	<-b.read
	return b.ResponseRecorder.Write(p)
}

// A client that does not read keeps no instance of a pool: others are answered, and
// so is it in the end.
func TestClientsThatDoNotRead(t *testing.T) {
	for _, tt := range []struct{ name, request, says string }{
		{"short", "to one", "TO ONE"},
		{"long", strings.Repeat("x", mostAnswer), strings.Repeat("X", mostAnswer)},
		{"failed", "fail", "failed as it was told"},
	} {
		f := newFake()
		s := open(t, f, serving{pool: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		idler := &blocked{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.http.Handler.ServeHTTP(idler, httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(tt.request)))
		}()
		<-idler.writing
		for range 3 {
			w := httptest.NewRecorder()
			s.http.Handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/", strings.NewReader("to another")))
			if w.Code != 200 || w.Body.String() != "TO ANOTHER" {
				t.Errorf("%s: beside a client that does not read: %d, %q", tt.name, w.Code, w.Body)
			}
		}
		close(idler.read)
		<-answered
		if got := idler.Body.String(); !strings.Contains(got, tt.says) {
			t.Errorf("%s: a client that reads late was told %.50q, want %.50q", tt.name, got, tt.says)
		}
		if err := s.close(); err != nil || f.open.Load() != 0 {
			t.Errorf("%s: closing: %v, %d instances left", tt.name, err, f.open.Load())
		}
	}
}

// An instance that has left something open is not asked again.
func TestInstancesRest(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, serving{pool: pool})
		for n := range 4 {
			starts := f.starts.Load()
			if status, answer, err := post(client(t), url, "begin"); err != nil || status != 500 || !strings.Contains(answer, ErrTransactionOpen.Error()) {
				t.Errorf("%d: what is left open: %d, %q, %v", n, status, answer, err)
			}
			for range pool + 1 {
				if status, answer, err := post(client(t), url, "hello"); err != nil || status != 200 || answer != "HELLO" {
					t.Errorf("%d: after it: %d, %q, %v", n, status, answer, err)
				}
			}
			if n := f.starts.Load() - starts; pool > 0 && n != 1 {
				t.Errorf("%d instances were started in the place of one", n)
			}
		}
	})
}

func TestConcurrentRequests(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, serving{pool: pool})
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
		_, url := listening(t, f, serving{pool: pool})
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

// What a guest is asked of the web, and what comes of its answer: the body is
// taken for it.
func TestWeb(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, serving{pool: pool, web: true})
		c := client(t)
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, tt := range []struct {
			method, target, body string
			status               int
			kind, says           string
		}{
			{"SAY", "/", "200 text/plain\nhello", 200, "text/plain", "hello"},
			{"SAY", "/", "200 text/plain\n", 200, "text/plain", ""},
			{"SAY", "/a/b?c=d", "404 application/json\n{}\n", 404, "application/json", "{}\n"},
			{"SAY", "/", "204 \n", 204, "", ""},
			{"SAY", "/", "304 text/plain\n", 304, "", ""},
			{"SAY", "/", "599 text/html; charset=utf-8\n" + strings.Repeat("x", mostAnswer), 599, "text/html; charset=utf-8", strings.Repeat("x", mostAnswer)},
			{"SAY", "/", "hello", 502, "text/plain; charset=utf-8", "no status"},
			{"SAY", "/", "", 502, "text/plain; charset=utf-8", "no status"},
			{"SAY", "/", "200\nhello", 502, "text/plain; charset=utf-8", "no status"},
			{"SAY", "/", "100 text/plain\nhello", 502, "text/plain; charset=utf-8", "status 100"},
			{"SAY", "/", "204 text/plain\nhello", 502, "text/plain; charset=utf-8", "status 204"},
			{"SAY", "/", "1000 text/plain\nhello", 502, "text/plain; charset=utf-8", "no status"},
			// The fake's answer in capitals is no response, but shows what it was asked.
			{"GET", "/", "", 502, "text/plain; charset=utf-8", "no status"},
		} {
			request, err := http.NewRequest(tt.method, strings.TrimSuffix(url, "/")+tt.target, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Do(request)
			if err != nil {
				t.Fatalf("%q: %v", tt.body, err)
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || r.StatusCode != tt.status || r.Header.Get("Content-Type") != tt.kind {
				t.Errorf("%.40q: status %d, type %q, error %v; want %d, %q", tt.body, r.StatusCode, r.Header.Get("Content-Type"), err, tt.status, tt.kind)
			}
			if right := string(body) == tt.says || tt.status == 502 && strings.Contains(string(body), tt.says); !right {
				t.Errorf("%.40q: body %.80q, want %.80q", tt.body, body, tt.says)
			}
		}
	})
}

// A guest is told the method, the target as the client wrote it, as one that is a
// server itself has it, and the body.
func TestWebRequest(t *testing.T) {
	for _, tt := range []struct{ method, target, body, want string }{
		{"GET", "/", "", "GET /\n"},
		{"POST", "/cart/add?x=1&y=%2F", "{}\n", "POST /cart/add?x=1&y=%2F\n{}\n"},
		{"DELETE", "/a%2Fb//../c%20d", "", "DELETE /a%2Fb//../c%20d\n"},
		{"GET", "http://elsewhere/products?page=1", "", "GET http://elsewhere/products?page=1\n"},
		{"GET", "/a%2fb|c", "", "GET /a%2fb|c\n"},
		{"GET", "/a?", "", "GET /a?\n"},
	} {
		s := &server{web: true}
		r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
		var got bytes.Buffer
		if err := s.read(&got, httptest.NewRecorder(), r); err != nil || got.String() != tt.want {
			t.Errorf("%s %s: %q, error %v; want %q", tt.method, tt.target, &got, err, tt.want)
		}
	}
}

// Where this process can have no more instances, another request may find one.
func TestNoMoreInstances(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, serving{pool: pool})
		c := client(t)
		for range 1 + pool {
			post(c, url, "fail") // which takes what there was before
		}
		f.used.Store(true)
		if status, answer, err := post(c, url, "hello"); err != nil || status != 503 || !strings.Contains(answer, "fakes") {
			t.Errorf("with all used up: %d, %q, %v", status, answer, err)
		}
		f.used.Store(false)
		if status, answer, err := post(c, url, "hello"); err != nil || status != 200 || answer != "HELLO" {
			t.Errorf("with one again: %d, %q, %v", status, answer, err)
		}
	})
}

// Clients that go away while they are answered leave no instance behind and none
// missing.
func TestClientsThatGoAway(t *testing.T) {
	pools(t, func(t *testing.T, pool int) {
		f := newFake()
		_, url := listening(t, f, serving{pool: pool})
		address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
		dial := func(text string) net.Conn {
			c, err := net.Dial("tcp", address)
			if err == nil {
				_, err = c.Write([]byte(text))
			}
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
		for range 5 {
			// In the middle of the request: nothing is asked.
			starts := f.starts.Load()
			dial(request + "100\r\n\r\nhal").Close()
			dial(request).Close()
			// While the guest is at work: it is told, and its call ends.
			c := dial(request + "11\r\n\r\nuntil ended")
			<-f.calls
			c.Close()
			// While the guest is at work and cannot be told.
			c = dial(request + "4\r\n\r\nwait")
			<-f.calls
			c.Close()
			f.release <- struct{}{}
			// Without reading the answer.
			dial(request + "5\r\n\r\nhello").Close()
			if f.starts.Load() > starts+4 {
				t.Errorf("%d instances were started", f.starts.Load()-starts)
			}
		}
		for range 3 * (pool + 1) {
			if status, answer, err := post(client(t), url, "hello"); err != nil || status != 200 || answer != "HELLO" {
				t.Errorf("afterwards: %d, %q, %v", status, answer, err)
			}
		}
	}) // which sees that none is left
}

// Requests for which there is no instance wait, no longer than their clients.
func TestWaitingForThePool(t *testing.T) {
	f := newFake()
	_, url := listening(t, f, serving{pool: 1})
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
		s := open(t, f, serving{pool: pool})
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
		if _, err := newServer(t.Context(), f, serving{pool: pool}, func(time.Time) {}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(pool)) {
			t.Errorf("a pool of %d: %v", pool, err)
		}
	}
	f.refuse.Store(true)
	if _, err := newServer(t.Context(), f, serving{pool: 3}, func(time.Time) {}); !errors.Is(err, errRefused) {
		t.Errorf("an image that does not start: %v", err)
	}
	f.refuse.Store(false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := open(t, f, serving{pool: 3})
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
	asWeb := ask(Query{Op: OpServe, Address: "127.0.0.1:0", Web: true})
	if status, answer, err := post(client(t), "http://"+asWeb.Address+"/other", "hello"); status != 502 {
		t.Errorf("a service of the web gave %d, %q, %v", status, answer, err)
	}
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
		how  serving
		rest []string
	}{
		{[]string{"a:1", "m"}, serving{}, []string{"a:1", "m"}},
		{[]string{"-pool", "3", "a:1", "m", "c"}, serving{pool: 3}, []string{"a:1", "m", "c"}},
		{[]string{"-pool=3", "-web", "a:1", "m"}, serving{pool: 3, web: true}, []string{"a:1", "m"}},
		{[]string{"-web=false", "a:1", "m"}, serving{}, []string{"a:1", "m"}},
		{[]string{"-pool=x", "a:1", "m"}, serving{}, nil},
		{[]string{"-other", "a:1", "m"}, serving{}, nil},
	} {
		if how, rest := serveFlags(tt.args); how != tt.how || !slices.Equal(rest, tt.rest) {
			t.Errorf("%q: %+v, %q", tt.args, how, rest)
		}
	}
}
