package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/workload"
)

var hello = load.Exchanges{{Method: "GET", Target: "/hello", Status: 200, Answer: []byte("Hello, World!")}}

func helloServer(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, World!") }

// serve returns the address of a server with a handler.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// listen returns the address of a server that is given its connections raw and
// closes them when it returns.
func listen(t *testing.T, handle func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				handle(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// script answers each request with a text until the client is gone.
func script(t *testing.T, text string) string {
	return listen(t, func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	})
}

func run(t *testing.T, plan load.Plan, s load.Scenario) *load.Result {
	t.Helper()
	r, err := load.Run(t.Context(), plan, s, load.Events{})
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, r)
	return r
}

// consistent checks what is so whatever the service does.
func consistent(t *testing.T, r *load.Result) {
	t.Helper()
	if n := r.Latency.TotalCount(); n != r.Requests {
		t.Errorf("%d latencies of %d requests", n, r.Requests)
	}
	if r.Requests+r.Failed < r.Offered {
		t.Errorf("%d right and %d failed of %d", r.Requests, r.Failed, r.Offered)
	}
	if r.CPU < 0 { // none where a starved thread passes begin and end in one step
		t.Errorf("processor time %v", r.CPU)
	}
}

// brief is a closed loop that lasts for as long as many requests take.
func brief(address string) load.Plan {
	return load.Plan{Addresses: []string{address}, Connections: 4, Duration: 100 * time.Millisecond, Sample: 1}
}

func TestBodies(t *testing.T) {
	big := strings.Repeat("0123456789", 100_000)
	old := func(body string) string {
		return listen(t, func(c net.Conn, r *bufio.Reader) {
			if _, err := http.ReadRequest(r); err == nil {
				fmt.Fprintf(c, "HTTP/1.0 200 OK\r\n\r\n%s", body)
			}
		})
	}
	byByte := func(text string) string {
		return listen(t, func(c net.Conn, r *bufio.Reader) {
			for {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				for i := range len(text) { // each is a segment of its own
					if _, err := io.WriteString(c, text[i:i+1]); err != nil {
						return
					}
				}
			}
		})
	}
	tests := []struct {
		name    string
		address string
		method  string
		status  int
		answer  string
	}{
		{"length", serve(t, helloServer), "GET", 200, "Hello, World!"},
		{"chunks", serve(t, func(w http.ResponseWriter, r *http.Request) {
			for _, s := range []string{"Hello, ", "World", "!"} {
				io.WriteString(w, s)
				w.(http.Flusher).Flush()
			}
		}), "GET", 200, "Hello, World!"},
		{"1 MB", serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, big) }), "GET", 200, big},
		{"1 MB with a length", serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			io.WriteString(w, big)
		}), "GET", 200, big},
		{"1 MB both ways", serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body) // before the first byte of the answer, after which net/http would close
			if err == nil {
				w.Write(body)
			}
		}), "POST", 200, big},
		{"204", serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }), "DELETE", 204, ""},
		{"empty", serve(t, func(w http.ResponseWriter, r *http.Request) {}), "POST", 200, ""},
		{"not found", serve(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) }), "GET", 404, "no\n"},
		{"head", serve(t, helloServer), "HEAD", 200, ""},
		{"until the connection's end", old("Hello, World!"), "GET", 200, "Hello, World!"},
		{"1 MB until the connection's end", old(big), "GET", 200, big},
		{"close", serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "bye")
		}), "GET", 200, "bye"},
		{"byte by byte", byByte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "GET", 200, "hello"},
		{"chunks byte by byte", byByte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), "GET", 200, "hello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := load.Exchanges{{Method: tt.method, Target: "/x?y=z", Status: tt.status, Answer: []byte(tt.answer)}}
			if tt.method == "POST" {
				x[0].Body = []byte(tt.answer)
			}
			plan := brief(tt.address)
			plan.Rate, plan.Timeout = 400, time.Minute // it is forty requests, however long they take
			r := run(t, plan, x)
			if r.Requests != 40 || r.Failed != 0 || r.Received != 40*int64(len(tt.answer)) {
				t.Errorf("%d right, %d bytes, %d failed: %v", r.Requests, r.Received, r.Failed, r.Failures)
			}
			switch tt.name {
			case "close", "until the connection's end", "1 MB until the connection's end":
				if r.Connects < 40 {
					t.Errorf("%d connections for 40 requests", r.Connects)
				}
			default:
				if r.Connects != 4 {
					t.Errorf("%d connections of 4 users", r.Connects)
				}
			}
		})
	}
}

// What is wrong is counted, told, and no latency.
func TestFailures(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!"
	reset := func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		c.(*net.TCPConn).SetLinger(0)
	}
	tests := []struct {
		name    string
		address string
		says    string
	}{
		{"status", serve(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "busy", http.StatusServiceUnavailable) }), `status 503, want 200: "busy\n"`},
		{"length", serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, World!!") }), "a body of 14 bytes, want 13"},
		{"content", serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, world!") }), `wrong body "Hello, world!", want "Hello, World!"`},
		{"no content", serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }), "status 204, want 200"},
		{"no HTTP", script(t, "220 smtp ready\r\n\r\n"), `begins with "220 smtp ready"`},
		{"half a response", listen(t, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r); io.WriteString(c, ok[:len(ok)-1]) }), "in the middle of a response"},
		{"more than asked for", script(t, ok+ok), "nobody asked for"},
		{"an endless head", listen(t, func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for lines := strings.Repeat("A: b\r\n", 1000); err == nil; {
				_, err = io.WriteString(c, lines)
			}
		}), "a head of more than"},
		{"a response to no end", listen(t, func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			io.WriteString(c, ok[:len(ok)-1])
			io.Copy(io.Discard, r)
		}), "no response within 60ms"},
		{"closed without a response", listen(t, func(c net.Conn, r *bufio.Reader) { http.ReadRequest(r) }), "closed without a response"},
		{"reset", listen(t, reset), "connection reset"},
		{"refused", closed(t), "connecting: connection refused"},
	}
	for _, loop := range []string{"closed", "open"} {
		for _, tt := range tests {
			t.Run(loop+"/"+tt.name, func(t *testing.T) {
				plan := brief(tt.address)
				if tt.name == "a response to no end" {
					plan.Timeout = 60 * time.Millisecond
				}
				if loop == "open" {
					plan.Rate = 100
				}
				ended := false
				r, err := load.Run(t.Context(), plan, hello, load.Events{End: func(time.Time) { ended = true }})
				if err != nil || !ended {
					t.Fatalf("ended %t, error %v", ended, err)
				}
				consistent(t, r)
				if r.Failed == 0 || len(r.Failures) == 0 {
					t.Fatalf("%d right, %d failed: %v", r.Requests, r.Failed, r.Failures)
				}
				if tt.name != "more than asked for" && r.Requests > 0 {
					t.Errorf("%d right", r.Requests)
				}
				sum := int64(0)
				found := false
				for _, f := range r.Failures {
					sum += f.Count
					found = found || strings.Contains(f.Text, tt.says)
				}
				if !found || sum != r.Failed {
					t.Errorf("%d failures: %v", r.Failed, r.Failures)
				}
			})
		}
	}
}

// closed returns an address on which nobody listens, of which nobody is given the
// port.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := syscall.Shutdown(int(file.Fd()), syscall.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return l.Addr().String()
}

// Nobody is asked as fast as the loop goes round.
func TestADeadServerCostsLittle(t *testing.T) {
	plan := brief(closed(t))
	plan.Duration = time.Second
	r := run(t, plan, hello)
	// Of four users each waits for 160 ms in the end.
	if r.Failed == 0 || r.Failed > 4*30 {
		t.Errorf("%d failures in %v", r.Failed, r.Elapsed)
	}
	if r.CPU > r.Elapsed/2 {
		t.Errorf("%v of processor time in %v", r.CPU, r.Elapsed)
	}
}

// Of some responses the content is checked, of all others the length.
func TestSampled(t *testing.T) {
	plan := brief(serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello, world!") }))
	plan.Sample = 4
	plan.Rate, plan.Duration = 5000, 400*time.Millisecond
	r := run(t, plan, hello)
	if r.Failed < r.Offered/6 || r.Failed > r.Offered/3 {
		t.Errorf("%d of %d found to be wrong", r.Failed, r.Offered)
	}
}

// A server that dies and comes back is a number of failures.
func TestServerDiesAndComesBack(t *testing.T) {
	var served, reborn atomic.Int64
	first := httptest.NewUnstartedServer(nil)
	died := make(chan struct{})
	first.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 100 {
			close(died)
		}
		helloServer(w, r)
	})
	first.Start()
	address := first.Listener.Addr().String()
	back := make(chan error, 1)
	go func() {
		<-died
		first.Listener.Close()
		first.Config.Close()
		l, err := net.Listen("tcp", address)
		back <- err
		if err != nil {
			return
		}
		second := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reborn.Add(1)
			helloServer(w, r)
		})}
		t.Cleanup(func() { second.Close() })
		second.Serve(l)
	}()
	plan := brief(address)
	plan.Duration = time.Second
	r := run(t, plan, hello)
	if err := <-back; err != nil {
		t.Fatal(err)
	}
	if r.Failed == 0 || reborn.Load() == 0 || r.Requests < 100 || r.Connects < 8 {
		t.Errorf("%d right, %d of the second server, %d connections, %d failed: %v", r.Requests, reborn.Load(), r.Connects, r.Failed, r.Failures)
	}
}

// numbered is a scenario of which every answer is another.
func numbered(n int) load.Exchanges {
	var x load.Exchanges
	for i := range n {
		target := fmt.Sprintf("/%d", i)
		x = append(x, workload.Exchange{Method: "GET", Target: target, Status: 200, Answer: []byte(target)})
	}
	return x
}

func TestPipelining(t *testing.T) {
	const depth = 10
	echo := func(swapped bool) string {
		return listen(t, func(c net.Conn, r *bufio.Reader) {
			// Nothing is answered before all ten are there.
			var targets []string
			for range depth {
				q, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				targets = append(targets, q.URL.Path)
			}
			if swapped {
				targets[3], targets[4] = targets[4], targets[3]
			}
			for {
				for _, p := range targets {
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(p), p)
				}
				q, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				targets = append(targets[:0], q.URL.Path)
			}
		})
	}
	for _, tt := range []struct {
		name    string
		swapped bool
		failed  bool
	}{{"in order", false, false}, {"out of order", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			plan := brief(echo(tt.swapped))
			plan.Pipelining = depth
			plan.Timeout = 5 * time.Second
			r := run(t, plan, numbered(1000))
			if r.Requests == 0 || (r.Failed > 0) != tt.failed {
				t.Errorf("%d right, %d failed: %v", r.Requests, r.Failed, r.Failures)
			}
		})
	}
	t.Run("of an open loop", func(t *testing.T) {
		// One user is late for ten at once.
		plan := brief(echo(false))
		plan.Connections, plan.Pipelining, plan.Rate = 1, depth, 1000
		if r := run(t, plan, numbered(1000)); r.Failed > 0 || r.Requests != 100 {
			t.Errorf("%d right, %d failed: %v", r.Requests, r.Failed, r.Failures)
		}
	})
}

// What was pipelined behind a response that was to be the last of its connection is
// asked again, in order and for as long as it takes.
func TestPipeliningOnConnectionsThatEnd(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	for _, tt := range []struct {
		name   string
		s      load.Exchanges
		answer http.HandlerFunc
	}{
		{"small", numbered(1000), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }},
		// Answered before it was sent whole.
		{"long requests", load.Exchanges{{Method: "POST", Target: "/", Body: []byte(long), Status: 200}}, func(w http.ResponseWriter, r *http.Request) {}},
	} {
		for _, rate := range []float64{0, 500} {
			t.Run(fmt.Sprintf("%s/%v", tt.name, rate), func(t *testing.T) {
				var asked atomic.Int64
				u := &users{Scenario: tt.s}
				plan := brief(serve(t, func(w http.ResponseWriter, r *http.Request) {
					if asked.Add(1)%3 == 0 {
						w.Header().Set("Connection", "close")
					}
					io.Copy(io.Discard, r.Body)
					tt.answer(w, r)
				}))
				plan.Pipelining, plan.Rate, plan.Timeout = 4, rate, time.Minute
				plan.Duration = time.Second // the first of the long ones may take a tenth of one
				r := run(t, plan, u)
				if r.Requests == 0 || r.Failed > 0 || u.broke > 0 || u.asked != u.checked {
					t.Errorf("%d right, %d failed: %v; %d asked, %d checked", r.Requests, r.Failed, r.Failures, u.asked, u.checked)
				}
				if r.Connects <= 4 {
					t.Errorf("%d connections", r.Connects)
				}
			})
		}
	}
}

// users records what the users of a scenario are told.
type users struct {
	load.Scenario
	mu                    sync.Mutex
	asked, checked, broke int
}

func (u *users) User(n int) load.User { return &recorder{u, u.Scenario.User(n)} }

type recorder struct {
	all *users
	load.User
}

func (r *recorder) Next(dst []byte, host string) []byte {
	r.all.mu.Lock()
	r.all.asked++
	r.all.mu.Unlock()
	return r.User.Next(dst, host)
}

func (r *recorder) Check(status int, body []byte, full bool) error {
	r.all.mu.Lock()
	r.all.checked++
	r.all.mu.Unlock()
	return r.User.Check(status, body, full)
}

func (r *recorder) Failed() {
	r.all.mu.Lock()
	r.all.broke++
	r.all.mu.Unlock()
	r.User.Failed()
}

// Each request that a user makes is checked or has failed, once.
func TestUsersAreToldOfEachRequest(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		var n atomic.Int64
		u := &users{Scenario: numbered(100)}
		plan := brief(serve(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%7 == 0 {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, r.URL.Path)
		}))
		plan.Pipelining, plan.Rate, plan.Threads = 3, rate, 2
		r := run(t, plan, u)
		if u.asked != u.checked+u.broke || u.broke == 0 || u.checked == 0 {
			t.Errorf("at rate %v: %d requests, %d checked, %d failed", rate, u.asked, u.checked, u.broke)
		}
		if int64(u.broke) != r.Failed || r.Requests > int64(u.checked) {
			t.Errorf("at rate %v: %d right and %d failed, of %d checked and %d failed: %v", rate, r.Requests, r.Failed, u.checked, u.broke, r.Failures)
		}
	}
}

// What is due is what is sent, however many threads send it.
func TestRate(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		var served atomic.Int64
		plan := load.Plan{
			Addresses: []string{serve(t, func(w http.ResponseWriter, r *http.Request) { served.Add(1); helloServer(w, r) })}, Connections: 7, Threads: threads,
			Rate: 700, Warmup: 100 * time.Millisecond, Duration: 500 * time.Millisecond,
		}
		begin := time.Now()
		r := run(t, plan, hello)
		if took := time.Since(begin); took < 590*time.Millisecond {
			t.Errorf("%d threads: it took %v", threads, took)
		}
		if r.Offered != 350 || r.Requests != 350 || served.Load() != 420 || r.Lag.TotalCount() != 350 {
			t.Errorf("%d threads: %d offered, %d right, %d lags, %d served", threads, r.Offered, r.Requests, r.Lag.TotalCount(), served.Load())
		}
	}
}

// A service that is slower than the rate is waited for, and told from one that is
// not by what it completed and not by the generator's lag.
func TestOverload(t *testing.T) {
	var one sync.Mutex
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		one.Lock()
		time.Sleep(5 * time.Millisecond)
		one.Unlock()
		helloServer(w, r)
	})
	plan := load.Plan{Addresses: []string{slow}, Connections: 10, Rate: 1000, Duration: 300 * time.Millisecond, Timeout: time.Minute}
	r := run(t, plan, hello)
	if r.Requests != 300 || r.Failed != 0 || r.Achieved() > 0.25 {
		t.Errorf("%d right, %d failed, %v achieved", r.Requests, r.Failed, r.Achieved())
	}
	// 300 that take 5 ms each, due within 300 ms.
	if p50, lag := r.Latency.ValueAtQuantile(50), r.Lag.ValueAtQuantile(50); p50 < int64(540*time.Millisecond) || lag > p50/2 {
		t.Errorf("latency %v, lag %v", time.Duration(p50), time.Duration(lag))
	}
	plan.Timeout = 200 * time.Millisecond
	r = run(t, plan, hello)
	if r.Offered != 300 || r.Failed == 0 || r.Requests > 200 {
		t.Errorf("of %d: %d right, %d failed: %v", r.Offered, r.Requests, r.Failed, r.Failures)
	}
}

// A service that keeps up achieves the whole rate, also without a warm-up in which its
// first answers might come.
func TestAchieved(t *testing.T) {
	t.Parallel() // it waits most of the time
	// Half the requests of what counts are under way at its end: those that keep up
	// are told from others though this machine stalls for a second.
	const rate, answer, window = 50, 2 * time.Second, 4 * time.Second
	steady := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(answer)
		helloServer(w, r)
	}
	var asked atomic.Int64
	slower := func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			time.Sleep(answer)
		}
		helloServer(w, r)
	}
	begun := make(chan struct{})
	var one sync.Mutex
	tests := []struct {
		name        string
		warmup      time.Duration
		serve       http.HandlerFunc
		begin       func()
		least, most float64
	}{
		{"keeps up", answer, steady, func() {}, 0.7, 1},
		{"keeps up without a warm-up", 0, steady, func() {}, 0.7, 1},
		{"keeps up, its first answer was faster", answer + answer/2, slower, func() {}, 0.7, 1},
		// The backlog of the stall is answered within what counts.
		{"stalls as counting begins", answer / 2, func(w http.ResponseWriter, r *http.Request) { <-begun; helloServer(w, r) }, func() { close(begun) }, 0.7, 1},
		{"overloaded", answer / 2, func(w http.ResponseWriter, r *http.Request) {
			one.Lock()
			time.Sleep(5 * time.Second / rate / 2)
			one.Unlock()
			helloServer(w, r)
		}, func() {}, 0, 0.6},
	}
	var all sync.WaitGroup
	for _, tt := range tests {
		plan := load.Plan{Addresses: []string{serve(t, tt.serve)}, Connections: 200, Rate: rate, Warmup: tt.warmup, Duration: window, Timeout: time.Minute}
		all.Go(func() {
			r, err := load.Run(t.Context(), plan, hello, load.Events{Begin: func(time.Time) { tt.begin() }})
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				return
			}
			consistent(t, r)
			if a := r.Achieved(); a < tt.least || a > tt.most || r.Requests != rate*int64(window.Seconds()) {
				t.Errorf("%s: %v achieved, want %v to %v; %d right, %d completed, %d late, backlog %d", tt.name, a, tt.least, tt.most, r.Requests, r.Completed, r.Late, r.Backlog)
			}
		})
	}
	all.Wait()
}

// dawdlers take their time to make a request.
type dawdlers struct{ load.Scenario }

func (d dawdlers) User(n int) load.User { return dawdler{d.Scenario.User(n)} }

type dawdler struct{ load.User }

func (d dawdler) Next(dst []byte, host string) []byte {
	time.Sleep(5 * time.Millisecond)
	return d.User.Next(dst, host)
}

// A generator that cannot keep up says so.
func TestLag(t *testing.T) {
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Connections: 100, Threads: 1, Rate: 1000, Duration: 200 * time.Millisecond, Timeout: time.Minute}
	r := run(t, plan, dawdlers{hello})
	// The first hundred are due within 100 ms and made in no less than 495.
	if r.Requests != 200 || r.Lag.Max() < int64(250*time.Millisecond) {
		t.Errorf("%d right, lag up to %v", r.Requests, time.Duration(r.Lag.Max()))
	}
}

// What comes after the end of a closed loop is told.
func TestLate(t *testing.T) {
	over := make(chan struct{})
	plan := brief(serve(t, func(w http.ResponseWriter, r *http.Request) { <-over; helloServer(w, r) }))
	r, err := load.Run(t.Context(), plan, hello, load.Events{End: func(time.Time) { close(over) }})
	if err != nil || r.Requests != 0 || r.Completed != 0 || r.Failed != 0 || r.Late != 4 {
		t.Errorf("%+v, error %v", r, err)
	}
}

// What a service sends that nobody asked for is no failure before what counts.
func TestGreeting(t *testing.T) {
	var greeted atomic.Int64
	address := listen(t, func(c net.Conn, r *bufio.Reader) {
		if greeted.Add(1) == 1 {
			io.WriteString(c, "220 smtp ready\r\n\r\n")
			io.Copy(io.Discard, r)
		}
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!")
		}
	})
	// The run begins when another user has given up connecting: by then the first
	// has been greeted.
	plan := load.Plan{Addresses: []string{address, full(t)}, Connections: 2, Rate: 400, Warmup: 100 * time.Millisecond, Duration: 100 * time.Millisecond, Timeout: 300 * time.Millisecond}
	r := run(t, plan, hello)
	for _, f := range r.Failures {
		if strings.Contains(f.Text, "nobody asked for") {
			t.Errorf("%d failures: %s", f.Count, f.Text)
		}
	}
	if greeted.Load() < 2 {
		t.Error("the greeted connection was not made again")
	}
}

// full returns an address that takes no connections any more and refuses none.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	own, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", own.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("it takes any number of connections")
	return ""
}

// What the generator's own queue added to latencies is told.
func TestWait(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Connections: 20, Threads: 1, Rate: rate, Duration: 100 * time.Millisecond, Timeout: time.Minute}
		r := run(t, plan, ponderers{hello})
		// Each of those that are ready at once waits while those before are checked.
		if r.Wait.TotalCount() == 0 || r.Wait.Max() < int64(5*time.Millisecond) {
			t.Errorf("rate %v: %d events, wait up to %v", rate, r.Wait.TotalCount(), time.Duration(r.Wait.Max()))
		}
	}
}

// ponderers take their time to check a response.
type ponderers struct{ load.Scenario }

func (p ponderers) User(n int) load.User { return ponderer{p.Scenario.User(n)} }

type ponderer struct{ load.User }

func (p ponderer) Check(status int, body []byte, full bool) error {
	time.Sleep(5 * time.Millisecond)
	return p.User.Check(status, body, full)
}

// Of several services it is told which one failed.
func TestFailuresNameTheService(t *testing.T) {
	good, bad := serve(t, helloServer), serve(t, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	plan := load.Plan{Addresses: []string{good, bad, closed(t)}, Connections: 3, Rate: 300, Duration: 100 * time.Millisecond}
	r := run(t, plan, hello)
	if r.Requests != 10 || r.Failed != 20 {
		t.Errorf("%d right, %d failed", r.Requests, r.Failed)
	}
	named := map[string]int64{}
	for _, f := range r.Failures {
		for _, a := range plan.Addresses {
			if strings.HasSuffix(f.Text, " ("+a+")") {
				named[a] += f.Count
			}
		}
	}
	if named[good] != 0 || named[bad] != 10 || named[plan.Addresses[2]] != 10 {
		t.Errorf("failures %v", r.Failures)
	}
	plan.Addresses, plan.Rate = plan.Addresses[1:2], 0
	if r := run(t, plan, hello); len(r.Failures) == 0 || strings.Contains(r.Failures[0].Text, bad) {
		t.Errorf("failures of the only service: %v", r.Failures)
	}
}

// stalling answers at once but for 100 ms, five seconds after the first request
// and then every ten.
func stalling() http.HandlerFunc {
	var stall sync.RWMutex
	var once sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			var next func()
			next = func() {
				stall.Lock()
				time.AfterFunc(100*time.Millisecond, stall.Unlock)
				time.AfterFunc(10*time.Second, next)
			}
			time.AfterFunc(5*time.Second, next)
		})
		stall.RLock()
		defer stall.RUnlock()
		helloServer(w, r)
	}
}

// An open loop finds the stall of one second in a hundred; a closed one hardly asks
// while it lasts.
func TestPlantedStall(t *testing.T) {
	t.Parallel()
	const planted = 80 * time.Millisecond
	plans := map[string]load.Plan{
		"open":           {Connections: 100, Rate: 1000},
		"open, one user": {Connections: 1, Rate: 1000},
		"closed":         {Connections: 1},
	}
	late := map[string]int64{}
	var mu sync.Mutex
	var loops sync.WaitGroup // at once, however many tests may be
	for loop, plan := range plans {
		plan.Addresses, plan.Duration = []string{serve(t, stalling())}, 10*time.Second
		loops.Go(func() {
			r, err := load.Run(t.Context(), plan, hello, load.Events{})
			if err != nil {
				t.Errorf("%s: %v", loop, err)
				return
			}
			consistent(t, r)
			p999 := time.Duration(r.Latency.ValueAtQuantile(99.9))
			t.Logf("%s: p99.9 of %d requests %v, max %v, lag p99 %v, achieved %.4f, failed %d", loop, r.Requests, p999, time.Duration(r.Latency.Max()), time.Duration(r.Lag.ValueAtQuantile(99)), r.Achieved(), r.Failed)
			n := int64(0)
			for _, b := range r.Latency.Distribution() {
				if b.From >= int64(planted) {
					n += b.Count
				}
			}
			mu.Lock()
			late[loop] = n
			mu.Unlock()
			if plan.Rate > 0 && p999 < planted {
				t.Errorf("%s: p99.9 is %v", loop, p999)
			}
			if n == 0 {
				t.Errorf("%s: nobody met the stall", loop)
			}
		})
	}
	loops.Wait()
	if late["closed"] >= late["open"] {
		t.Errorf("requests that met the stall: %v", late)
	}
}

// The users go over the services in turn.
func TestAddresses(t *testing.T) {
	var counts [3]atomic.Int64
	var addresses []string
	for i := range counts {
		addresses = append(addresses, serve(t, func(w http.ResponseWriter, r *http.Request) { counts[i].Add(1); helloServer(w, r) }))
	}
	_, port, err := net.SplitHostPort(addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	addresses[0] = net.JoinHostPort("localhost", port)
	r := run(t, load.Plan{Addresses: addresses, Connections: 6, Rate: 600, Duration: 100 * time.Millisecond}, hello)
	for i := range counts {
		if n := counts[i].Load(); n != 20 || r.Failed > 0 {
			t.Errorf("service %d was asked %d times of 60; failed: %v", i, n, r.Failures)
		}
	}
}

func TestPlans(t *testing.T) {
	good := load.Plan{Addresses: []string{"127.0.0.1:1"}}
	for _, tt := range []struct {
		field  string
		change func(*load.Plan)
	}{
		{"Addresses", func(p *load.Plan) { p.Addresses = nil }},
		{"Addresses", func(p *load.Plan) { p.Addresses = []string{"127.0.0.1"} }},
		{"Addresses", func(p *load.Plan) { p.Addresses = []string{"127.0.0.1:http!"} }},
		{"Addresses", func(p *load.Plan) { p.Addresses = []string{"127.0.0.1:0"} }},
		{"Addresses", func(p *load.Plan) { p.Addresses = []string{"host.invalid:80"} }},
		{"Addresses", func(p *load.Plan) { p.Addresses, p.Network = []string{"localhost:80"}, "/proc/self/ns/net" }},
		{"Addresses", func(p *load.Plan) { p.Addresses, p.Network = []string{"[fe80::1%lo]:80"}, "/proc/self/ns/net" }},
		{"Connections", func(p *load.Plan) { p.Connections = -1 }},
		{"Pipelining", func(p *load.Plan) { p.Pipelining = -1 }},
		{"Rate", func(p *load.Plan) { p.Rate = -1 }},
		{"Warmup", func(p *load.Plan) { p.Warmup = -1 }},
		{"Duration", func(p *load.Plan) { p.Duration = -1 }},
		{"Timeout", func(p *load.Plan) { p.Timeout = -1 }},
		{"Sample", func(p *load.Plan) { p.Sample = -1 }},
		{"Threads", func(p *load.Plan) { p.Threads = -1 }},
		{"Network", func(p *load.Plan) { p.Network = "/no/such/network" }},
		{"Network", func(p *load.Plan) { p.Network = os.DevNull }},
		{"CPUs", func(p *load.Plan) { p.CPUs = []int{-1} }},
		{"CPUs", func(p *load.Plan) { p.CPUs = []int{1 << 20} }},
		{"CPUs", func(p *load.Plan) { p.CPUs = []int{1023} }},
		{"CPUs", func(p *load.Plan) { p.CPUs = []int{} }},
	} {
		plan := good
		tt.change(&plan)
		_, err := load.Run(t.Context(), plan, hello, load.Events{})
		var wrong *load.PlanError
		if !errors.As(err, &wrong) || wrong.Field != tt.field {
			t.Errorf("%s: error %v", tt.field, err)
		}
	}
	if _, err := load.Run(t.Context(), good, load.Exchanges{}, load.Events{}); err == nil {
		t.Error("no exchanges are made without an error")
	}
}

// Run ends when its context does, at any moment, and leaves nothing.
func TestCancel(t *testing.T) {
	address := serve(t, helloServer)
	silent := listen(t, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	why := errors.New("enough")
	descriptors := open(t)
	for i := range 60 {
		ctx, cancel := context.WithCancelCause(t.Context())
		plan := load.Plan{Addresses: []string{[]string{address, silent}[i%2]}, Connections: 20, Threads: 1 + i%3, Duration: time.Hour, Timeout: time.Hour}
		if i%4 > 1 {
			plan.Rate = 2000
		}
		timer := time.AfterFunc(time.Duration(i)*500*time.Microsecond, func() { cancel(why) })
		r, err := load.Run(ctx, plan, hello, load.Events{})
		if r != nil || err != why {
			t.Errorf("after %d half milliseconds: error %v", i, err)
		}
		timer.Stop()
		cancel(nil)
	}
	until(t, "descriptors are back", func() (string, bool) {
		now := open(t)
		return fmt.Sprintf("%q, before %q", now, descriptors), len(now) <= len(descriptors)
	})
	until(t, "no goroutine is left", func() (string, bool) {
		left := stacks("measure/load.")
		return left, left == ""
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := load.Run(ctx, load.Plan{Addresses: []string{address}}, hello, load.Events{}); err != why {
		t.Errorf("cancelled before: error %v", err)
	}
}

// Where there are not files enough for all connections it is told of all threads' how
// many there are.
func TestTooFewFiles(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts: that would take files too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	const each = 20 // connections of a thread
	few := before
	few.Cur = limitFor(t, 2*3+each+each/2)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	_, err = load.Run(t.Context(), load.Plan{Addresses: []string{l.Addr().String()}, Connections: 2 * each, Threads: 2}, hello, load.Events{})
	if !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("error %v", err)
	}
	_, says, _ := strings.Cut(err.Error(), "the connection of user ")
	user, all := 0, 0
	if n, _ := fmt.Sscanf(says, "%d of %d", &user, &all); n != 2 || all != 2*each || user <= each || user > all {
		t.Errorf("error %v", err)
	}
}

// limitFor returns the limit at which this process may open so many more files.
func limitFor(t *testing.T, more int) (limit uint64) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, e := range entries {
		taken[e.Name()] = true
	}
	for ; more > 0; limit++ {
		if !taken[fmt.Sprint(limit)] {
			more--
		}
	}
	return limit
}

// A run that is over leaves nothing either.
func TestNothingIsLeft(t *testing.T) {
	address := serve(t, helloServer)
	descriptors := open(t)
	for range 3 {
		run(t, load.Plan{Addresses: []string{address}, Connections: 50, Threads: 2, Duration: 50 * time.Millisecond}, hello)
	}
	until(t, "descriptors are back", func() (string, bool) {
		now := open(t)
		return fmt.Sprintf("%q, before %q", now, descriptors), len(now) <= len(descriptors)
	})
}

// open returns the descriptors of this process.
func open(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			all = append(all, to)
		}
	}
	slices.Sort(all)
	return all
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() (string, bool)) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s, done := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: %s", what, s)
		}
		time.Sleep(time.Millisecond)
	}
}
