package bridge_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// made returns a network, which the test closes.
func made(t *testing.T) *bridge.Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("networks are made by root only: run as root")
	}
	n, err := bridge.New()
	if errors.As(err, new(*workload.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serve says word to whoever connects at a seat, until the seat's test closes it.
func serve(t *testing.T, s *bridge.Seat, word string) net.Listener {
	t.Helper()
	var l net.Listener
	err := osthread.InNetwork(s.Path(), func() (err error) {
		l, err = net.Listen("tcp", s.Address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, word)
			conn.Close()
		}
	}()
	return l
}

// heard returns what is said at an address of the network.
func heard(t *testing.T, n *bridge.Network, address string) string {
	t.Helper()
	var conn net.Conn
	err := osthread.InNetwork(n.Path(), func() (err error) {
		conn, err = net.Dial("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	word, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(word)
}

// Whoever has an address next is reached at it at once, although the bridge
// remembers who had it before.
func TestAnAddressForOneAfterTheOther(t *testing.T) {
	n := made(t)
	for _, word := range []string{"one", "two", "three"} {
		s, err := n.Seat(t.Context(), "127.0.0.1:81")
		if err != nil {
			t.Fatal(err)
		}
		if s.Address != "198.18.0.2:81" || s.Network() != n.Path() {
			t.Errorf("a seat at %s in %s", s.Address, s.Network())
		}
		l := serve(t, s, word)
		if got := heard(t, n, s.Address); got != word {
			t.Errorf("%q is said, want %q", got, word)
		}
		witness := rundirtest.NewWitness(t, s.Path())
		l.Close()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		witness.Gone(t)
	}
	witness := rundirtest.NewWitness(t, n.Path())
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	witness.Gone(t)
}

// Seats taken at the same time are different ones, neither descriptors nor threads
// in other namespaces are left of them, and nobody who asks meanwhile for the
// process's namespace is told another.
func TestSeatsAtTheSameTime(t *testing.T) {
	before := count(t, "/proc/self/fd/*")
	home := namespace(t)
	n := made(t)
	var mu sync.Mutex
	taken := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var seats []*bridge.Seat
			for range 4 {
				s, err := n.Seat(t.Context(), "")
				if err != nil {
					t.Error(err)
					return
				}
				if at := namespace(t); at != home {
					t.Errorf("the process is in %s, want %s", at, home)
				}
				mu.Lock()
				taken[s.Address] = true
				mu.Unlock()
				seats = append(seats, s)
			}
			for _, s := range seats {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if len(taken) < 4 || !taken["198.18.0.2:8080"] || taken["198.18.0.1:8080"] {
		t.Errorf("the seats were at %v", taken)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if after := count(t, "/proc/self/fd/*"); after != before {
		t.Errorf("%d descriptors are open, before there were %d", after, before)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		if at, err := os.Readlink(path); err == nil && at != home {
			t.Errorf("a thread is in %s, want %s", at, home)
		}
	}
}

// namespace returns the process's, which is that of its first thread.
func namespace(t *testing.T) string {
	t.Helper()
	at, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return at
}

func count(t *testing.T, pattern string) int {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

func TestSeatsThatAreNotHad(t *testing.T) {
	n := made(t)
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, n := range []*bridge.Network{n, nil} {
		if _, err := n.Seat(ctx, ""); !errors.Is(err, cause) {
			t.Errorf("error %v, want %v", err, cause)
		}
	}
	if _, err := n.Seat(t.Context(), "nowhere"); err == nil {
		t.Error("a seat at an address without a port")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheHostsNetwork(t *testing.T) {
	var n *bridge.Network
	for _, asked := range []string{"", "127.0.0.1:81"} {
		s, err := n.Seat(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		if s.Address == "" || asked != "" && s.Address != asked || s.Path() != "" || s.Network() != "" {
			t.Errorf("asked for %q, the seat is at %q in %q, of %q", asked, s.Address, s.Path(), s.Network())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
