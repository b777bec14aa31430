package rundirtest

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// A Relay passes on what comes to its socket to that of a daemon, until it is
// told otherwise: to those who use it the daemon seems to fail while it lives.
type Relay struct {
	Socket string
	daemon string

	mu     sync.Mutex
	listen net.Listener // nil while it is closed
	conns  []net.Conn
}

// NewRelay opens a relay to the daemon at a socket.
func NewRelay(t testing.TB, host *Host, daemon string) *Relay {
	t.Helper()
	r := &Relay{Socket: filepath.Join(host.Tmp, "relay.sock"), daemon: daemon}
	r.Open(t)
	t.Cleanup(r.Close)
	return r
}

// Open takes connections, for the first time or again.
func (r *Relay) Open(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", r.Socket)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listen = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.pass(l, conn)
		}
	}()
}

func (r *Relay) pass(l net.Listener, near net.Conn) {
	far, err := net.Dial("unix", r.daemon)
	if err != nil {
		near.Close()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listen != l { // it has been closed meanwhile
		near.Close()
		far.Close()
		return
	}
	r.conns = append(r.conns, near, far)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			io.Copy(way[0], way[1])
			way[0].(*net.UnixConn).CloseWrite()
		}()
	}
}

// Cut ends all connections but takes new ones.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// Close ends all connections and takes no more until Open.
func (r *Relay) Close() {
	r.mu.Lock()
	if r.listen != nil {
		r.listen.Close()
		r.listen = nil
	}
	r.mu.Unlock()
	r.Cut()
}
