package measure_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// newNetwork makes a network namespace with a loopback interface, which lasts as
// long as the test, and returns its path.
func newNetwork(t *testing.T) string {
	t.Helper()
	var ns netns.NsHandle
	err := osthread.Do(func() (err error) {
		if ns, err = netns.New(); err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	}, osthread.Network("/proc/thread-self/ns/net")) // out of which it comes back
	if errors.Is(err, unix.EPERM) {
		t.Skip(&runtime.Unavailable{What: "a network namespace", Why: "the kernel does not let this user make one", Fix: "run as root", Err: err})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(ns))
}

// listenIn listens on an address in a network namespace, "" for this one.
func listenIn(network, address string) (l net.Listener, err error) {
	err = osthread.InNetwork(network, func() error {
		l, err = net.Listen("tcp", address)
		return err
	})
	return l, err
}

// allHere checks that no thread of this process is in another network than the test's.
func allHere(t *testing.T) {
	t.Helper()
	const own = "/proc/thread-self/ns/net"
	home, err := os.Readlink(own)
	if err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(threads) == 0 {
		t.Fatalf("%d threads, error %v", len(threads), err)
	}
	for _, thread := range threads {
		if network, err := os.Readlink(thread); err == nil && network != home { // else it has ended
			t.Errorf("%s is %s, the test's is %s", thread, network, home)
		}
	}
}
