package rundirtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// Client returns a client that reaches a service in its network, with a connection
// for each request.
func Client(s runtime.Service) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = osthread.InNetwork(networkOf(s), func() (err error) {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
}

// networkOf returns the path of the namespace from which a service is reached, or
// "" where that is the tests' own.
func networkOf(s runtime.Service) string {
	if n, ok := s.(runtime.Networked); ok {
		return n.Network()
	}
	return ""
}

// A Witness learns of the end of a network namespace without holding it.
type Witness struct {
	path   string
	handle *netlink.Handle
}

// NewWitness puts one end of a pair of devices into the namespace at path, with
// which the other end will go.
func NewWitness(t testing.TB, path string) *Witness {
	t.Helper()
	own, err := bridge.New()
	Require(t, "bridge", err)
	home, herr := os.Open(own.Path())
	there, terr := os.Open(path)
	if err := errors.Join(herr, terr); err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	defer there.Close()
	w := &Witness{path: path}
	if w.handle, err = netlink.NewHandleAt(netns.NsHandle(home.Fd()), unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.handle.Close()
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "witness"
	err = w.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "witness", PeerNamespace: netlink.NsFd(there.Fd())})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Gone fails the test unless the namespace ends.
func (w *Witness) Gone(t testing.TB) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) { // the kernel takes its time
		_, err := w.handle.LinkByName("witness")
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return
		}
		if err != nil || time.Since(begin) > most {
			t.Errorf("left behind: the network namespace that was %s (%v)", w.path, err)
			return
		}
	}
}

// onBridge makes the server of a guest ready to serve on a bridge.
func onBridge(t *testing.T, server runtime.Server, guest Echo) runtime.ServerImage {
	t.Helper()
	img, err := server.PrepareServer(t.Context(), Web{guest}, runtime.ServeOptions{Bridge: true})
	Require(t, server.(runtime.Runtime).Name(), err)
	return img
}

func serveOn(t *testing.T, host *Host, img runtime.ServerImage, address string) runtime.Service {
	t.Helper()
	s, err := img.Serve(t.Context(), address, ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(s.Scope())
	return s
}

// Bridge checks that the runtime serves on a bridge: that containers are there
// side by side, are not in the host's network, and leave nothing of theirs.
func Bridge(t *testing.T, host *Host, server runtime.Server) {
	img := onBridge(t, server, Echo{Dir: t.TempDir()})
	asked, err := runtime.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(asked)
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	addresses := map[string]runtime.Service{}
	var witnesses []*Witness
	for range 3 {
		s := serveOn(t, host, img, asked)
		addresses[s.Address()] = s
		at, p, err := net.SplitHostPort(s.Address())
		if err != nil || p != port || net.ParseIP(at) == nil || net.ParseIP(at).IsLoopback() {
			t.Errorf("asked for %s, it is at %s", asked, s.Address())
		}
		if answer, err := Get(ctx, s, []byte("you")); err != nil || string(answer) != "hello you" {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		of := fmt.Sprintf("/proc/%d/ns/net", s.Scope().Own[0])
		if sameNamespace(t, of, "/proc/self/ns/net") {
			t.Error("the container is in the host's network")
		}
		witnesses = append(witnesses, NewWitness(t, of))
	}
	if len(addresses) != 3 {
		t.Errorf("three services at %v", addresses)
	}
	var network string
	for _, s := range addresses {
		network = networkOf(s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	again := serveOn(t, host, img, "")
	if answer, err := Get(ctx, again, []byte("you")); err != nil || string(answer) != "hello you" {
		t.Errorf("after others were closed the answer is %q, %v", answer, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if network != "" {
		witnesses = append(witnesses, NewWitness(t, network))
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	for _, w := range witnesses {
		w.Gone(t)
	}
}

// FailsOnBridge checks the same of servers that end at once, and of those that are
// not waited for.
func FailsOnBridge(t *testing.T, host *Host, server runtime.Server) {
	dir := t.TempDir()
	t.Run("exits", func(t *testing.T) {
		img := onBridge(t, server, Echo{Mode: "exits", Dir: dir})
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		s, err := img.Serve(ctx, "", ignore)
		if err == nil { // else it has ended while it was started
			host.Add(s.Scope())
			if _, err = Get(ctx, s, nil); err == nil {
				t.Error("a dead server has answered")
			}
			if cerr := s.Close(); cerr != nil {
				t.Error(cerr)
			}
		}
		var exit *oci.ExitError
		if !errors.As(err, &exit) || exit.Status != 1 && exit.Status != -1 {
			t.Errorf("error %v, want an *ExitError with status 1", err)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		img := onBridge(t, server, Echo{Dir: dir})
		for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			s, err := img.Serve(ctx, "", ignore)
			<-ctx.Done()
			cancel()
			if err == nil {
				host.Add(s.Scope())
				err = s.Close()
				if err != nil || after == 0 {
					t.Errorf("after %v: served, and closed with %v", after, err)
				}
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %v: error %v, want context.DeadlineExceeded", after, err)
			}
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
}

func sameNamespace(t testing.TB, a, b string) bool {
	t.Helper()
	one, aerr := os.Stat(a)
	other, berr := os.Stat(b)
	if err := errors.Join(aerr, berr); err != nil {
		t.Fatal(err)
	}
	return os.SameFile(one, other)
}
