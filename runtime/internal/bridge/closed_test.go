package bridge_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
)

// devices lists those of the namespace at path.
func devices(t *testing.T, path string) (names []string) {
	t.Helper()
	err := osthread.InNetwork(path, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Whatever is closed first, and how often, nothing is made or removed in the
// namespace of whoever does it: there it would be the host's.
func TestClosedInAnyOrder(t *testing.T) {
	elsewhere := made(t)
	defer elsewhere.Close()
	// Every number that a device of the networks may have is there that of another.
	err := osthread.InNetwork(elsewhere.Path(), func() error {
		for n := range 16 {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "decoy" + strconv.Itoa(n)
			if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := devices(t, elsewhere.Path())
	for name, do := range map[string]func(*bridge.Network, *bridge.Seat) error{
		"the network before the seat": func(n *bridge.Network, s *bridge.Seat) error {
			return errors.Join(n.Close(), s.Close(), s.Close())
		},
		"the network again": func(n *bridge.Network, s *bridge.Seat) error {
			return errors.Join(s.Close(), n.Close(), n.Close())
		},
		"a seat afterwards": func(n *bridge.Network, s *bridge.Seat) error {
			err := errors.Join(s.Close(), n.Close())
			if _, serr := n.Seat(t.Context(), ""); !errors.Is(serr, bridge.ErrClosed) {
				t.Errorf("a seat on a closed network gave %v, want ErrClosed", serr)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := made(t)
			var paths []string
			err := osthread.InNetwork(elsewhere.Path(), func() error { // and never in the host's
				s, err := n.Seat(t.Context(), "")
				if err != nil {
					return errors.Join(err, n.Close())
				}
				paths = []string{n.Path(), s.Path()}
				return do(n, s)
			})
			if err != nil {
				t.Error(err)
			}
			if got := devices(t, elsewhere.Path()); !slices.Equal(got, want) {
				t.Errorf("the devices are %q, want %q", got, want)
			}
			for _, path := range paths {
				if err := osthread.InNetwork(path, func() error { return nil }); err == nil {
					t.Errorf("the namespace at %s is still held", path)
				}
			}
		})
	}
}

// A bridge that is full says so, and what was made for one more is gone at once.
func TestAFullBridge(t *testing.T) {
	n := made(t)
	defer n.Close()
	err := osthread.InNetwork(n.Path(), func() error {
		master, err := netlink.LinkByName("bridge")
		for i := 0; err == nil && i < 1024; i += 2 {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.MasterIndex = "full"+strconv.Itoa(i), master.Attrs().Index
			peer := "full" + strconv.Itoa(i+1)
			if err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer}); err == nil && i < 1022 {
				err = netlink.LinkSetMaster(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: peer}}, master)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.Seat(t.Context(), "")
	if err == nil {
		t.Error(s.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "1023") {
		t.Errorf("a seat on a full bridge gave %v, want one that tells how many it takes", err)
	}
	if left := slices.DeleteFunc(devices(t, n.Path()), func(name string) bool { return !strings.HasPrefix(name, "port") }); len(left) > 0 {
		t.Errorf("left on the bridge: %q", left)
	}
}
