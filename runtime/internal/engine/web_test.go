package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

// web is a workload whose guest serves HTTP of its own kind.
type web struct {
	modules
	exchanges []workload.Exchange
}

func (w web) Exchanges() []workload.Exchange { return w.exchanges }

// fetch sends a request and returns the response's status, type and body.
func fetch(t testing.TB, c *http.Client, svc runtime.Service, method, target string, body []byte) (status int, kind string, answer []byte, err error) {
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+svc.Address()+target, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, err
	}
	r, err := c.Do(request)
	if err != nil {
		return 0, "", nil, svc.Explain(err)
	}
	defer r.Body.Close()
	answer, err = io.ReadAll(r.Body)
	return r.StatusCode, r.Header.Get("Content-Type"), answer, err
}

// A guest that serves the web sees all of a request but its header.
func TestServeWeb(t *testing.T) {
	w := web{both(t, wasmtest.EchoWeb()), []workload.Exchange{{Method: "GET", Target: "/", Status: 200, Answer: []byte("GET /\n")}}}
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		svc, c := serve(t, prepareServer(t, r, w, pool), unmarked), client(t)
		for _, tt := range [][3]string{
			{"GET", "/", ""},
			{"POST", "/cart/add?user=1&x=%20", `{"product":2}`},
			{"DELETE", "/a%2Fb", "\x00\n"},
			{"PUT", "/", strings.Repeat("x", 40<<10)},
		} {
			want := tt[0] + " " + tt[1] + "\n" + tt[2]
			status, kind, answer, err := fetch(t, c, svc, tt[0], tt[1], []byte(tt[2]))
			if err != nil || status != 200 || kind != "text/plain" || string(answer) != want {
				t.Errorf("%.40q gave %d, %q, %.60q, error %v", want, status, kind, answer, err)
			}
		}
		// A request for which the guest has no memory.
		if status, _, answer, err := fetch(t, c, svc, "PUT", "/", make([]byte, 64<<10)); err != nil || status != 500 {
			t.Errorf("a request that is too long gave %d, %q, error %v", status, answer, err)
		}
	})
	// A workload whose exchanges are none is asked as any other.
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := web{both(t, wasmtest.Echo), nil}
		if _, answer, err := post(client(t), serve(t, prepareServer(t, r, w, 1), unmarked), "echo"); answer != "echo" {
			t.Errorf("answer %q, error %v", answer, err)
		}
	})
}

// dial connects as soon as a service listens.
func dial(ctx context.Context, svc runtime.Service) (net.Conn, error) {
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", svc.Address())
		if !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
			return c, err
		}
		time.Sleep(time.Millisecond)
	}
}

// What a host process has, of which each instance takes a part.
type holding struct {
	sockets, files int
	space          uint // of addresses, in bytes
}

func holdings(t *testing.T, pid int) (h holding) {
	t.Helper()
	p, err := procfs.NewProc(pid)
	var open []string
	if err == nil {
		open, err = p.FileDescriptorTargets()
	}
	var stat procfs.ProcStat
	if err == nil {
		stat, err = p.Stat()
	}
	if err != nil {
		t.Fatal(err)
	}
	h.space = stat.VirtualMemory()
	for _, target := range open {
		switch {
		case target == "": // closed before it could be read
		case strings.HasPrefix(target, "socket:"):
			h.sockets++
		default:
			h.files++
		}
	}
	return h
}

// anything is more than a process can have.
var anything = holding{files: math.MaxInt, space: math.MaxUint}

// idle waits until a service's process has no connection any more, which it closes
// when it is done with what was asked there, and no more than most. It returns what
// it has.
func idle(t *testing.T, svc runtime.Service, most holding) holding {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		h := holdings(t, svc.Scope().Own[0])
		if h.sockets == 1 && h.files <= most.files && h.space <= most.space { // the one listens
			return h
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is connected, and the host has %+v, expected at most %+v", h, most)
		}
	}
}

// A hundred clients at a time, some of which go away before they are answered, are
// served, and leave nothing in the host: neither files nor instances.
func TestServeHundredConnections(t *testing.T) {
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		if strings.HasSuffix(r.Name(), "-interp") || strings.HasSuffix(r.Name(), "-jit") {
			return // the host and its server are those of the others
		}
		svc := serve(t, prepareServer(t, r, relay(t), pool), unmarked)
		asked := sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Write, SQL: increase})
		message := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(asked), asked)
		crowd := func() {
			var all sync.WaitGroup
			for n := range 100 {
				all.Go(func() {
					c, err := dial(t.Context(), svc)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					responses := bufio.NewReader(c)
					for range 3 {
						if _, err := c.Write(message); err != nil {
							t.Error(err)
							return
						}
						if n%4 == 0 {
							return
						}
						r, err := http.ReadResponse(responses, nil)
						var answer []byte
						if err == nil {
							answer, err = io.ReadAll(r.Body)
						}
						if err == nil {
							_, err = sqlwire.ParseAnswer(answer)
						}
						if err != nil {
							t.Errorf("response %v, error %v", r, err)
							return
						}
					}
				})
			}
			all.Wait()
		}
		// Then it has the threads, connections to the database and memories that it
		// keeps. Of the latter some keep as many as 64, of a gigabyte.
		crowd()
		crowd()
		before := idle(t, svc, anything)
		crowd() // 225 requests or more
		const kept = 64 << 30
		idle(t, svc, holding{files: before.files, space: before.space + kept + kept/8})
	})
}

// A client that goes away ends what a guarded guest does for it, and the guest's
// place is free again.
func TestServeGuardedForClientsThatGoAway(t *testing.T) {
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		for _, pool := range []int{0, 1} {
			dir := t.TempDir()
			svc := serve(t, prepareServer(t, r, mounted{modules{reactor: wasmtest.Write(t, wasmtest.Spin())}, dir}, pool), unmarked)
			stayer := client(t)
			for n := range 3 {
				c, err := dial(t.Context(), svc)
				if err == nil {
					_, err = c.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nspin"))
				}
				if err != nil {
					t.Fatal(err)
				}
				sign := filepath.Join(dir, "s") // which the guest makes before it spins
				for end := time.Now().Add(20 * time.Second); !exists(sign); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("the guest does not spin")
					}
				}
				if err := errors.Join(c.Close(), os.Remove(sign)); err != nil {
					t.Fatal(err)
				}
				// Which the pool's only instance answers, or another.
				if status, answer, err := post(stayer, svc, "echo!"); err != nil || status != http.StatusOK || answer != "echo!" {
					t.Errorf("pool=%d, %d: %d, %q, error %v", pool, n, status, answer, err)
				}
			}
			stayer.CloseIdleConnections()
			idle(t, svc, anything) // as it is when no guest spins any more
		}
	})
}
