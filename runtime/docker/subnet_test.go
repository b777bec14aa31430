package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/vishvananda/netlink"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func addDevice(name string, at netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	device := &netlink.Bridge{LinkAttrs: attrs}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: at.Addr().AsSlice(), Mask: net.CIDRMask(at.Bits(), 32)}}
	return errors.Join(netlink.LinkAdd(device), netlink.AddrAdd(device, addr))
}

// A crowded daemon makes networks in the namespace at path, of which others have
// the addresses.
type crowded struct {
	path    string
	refuses int // that many of the first, as its own
	rivals  int // that many of the next are given to another device too

	mu      sync.Mutex
	asked   []netip.Prefix
	device  string
	removed int
}

func (d *crowded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.answer(w, r); err != nil {
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(map[string]string{"message": err.Error()})
	}
}

func (d *crowded) answer(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodDelete {
		d.removed++
		w.WriteHeader(http.StatusNoContent)
		return removeDevice(d.path, d.device)
	}
	var request network.CreateRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return err
	}
	config := request.IPAM.Config[0]
	d.asked = append(d.asked, config.Subnet)
	if len(d.asked) <= d.refuses {
		return errors.New("Pool overlaps with other one on this address space")
	}
	d.device = request.Options["com.docker.network.bridge.name"]
	at := netip.PrefixFrom(config.Gateway, config.Subnet.Bits())
	return osthread.InNetwork(d.path, func() error {
		err := addDevice(d.device, at)
		if err == nil && len(d.asked) <= d.refuses+d.rivals {
			err = addDevice(fmt.Sprintf("rival%d", len(d.asked)), at)
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusCreated)
		return json.NewEncoder(w).Encode(map[string]string{"Id": "id"})
	})
}

// removeDevice removes a device of the namespace at path.
func removeDevice(path, name string) error {
	return osthread.InNetwork(path, func() error {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkDel(link)
		}
		return err
	})
}

// A run whose addresses others have takes some of its next ones, and does not try
// for ever.
func TestABridgeAmongOthers(t *testing.T) {
	for name, test := range map[string]struct {
		refuses, rivals int
		asked, removed  int
		made            bool
	}{
		"alone":   {0, 0, 1, 0, true},
		"refused": {2, 0, 3, 0, true},
		"rivals":  {1, 2, 4, 2, true},
		"full":    {3, 9, 5, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := bridge.New()
			rundirtest.Require(t, "bridge", err)
			defer n.Close()
			if err := removeDevice(n.Path(), "bridge"); err != nil {
				t.Fatal(err)
			}
			rundirtest.Watch(t)
			daemon := &crowded{path: n.Path(), refuses: test.refuses, rivals: test.rivals}
			server := httptest.NewServer(daemon)
			defer server.Close()
			l := &link{host: "tcp://" + server.Listener.Addr().String()}
			if l.client, err = client.New(client.WithHost(l.host), client.WithAPIVersion("1.41")); err != nil {
				t.Fatal(err)
			}
			defer l.client.Close()
			if l.dir, err = rundir.Make(); err != nil {
				t.Fatal(err)
			}
			defer l.dir.Close()
			err = osthread.InNetwork(n.Path(), func() error {
				_, err := l.bridged(t.Context())
				return err
			})
			if test.made != (err == nil) || !test.made && !errors.Is(err, errTaken) {
				t.Errorf("error %v", err)
			}
			if len(daemon.asked) != test.asked || daemon.removed != test.removed {
				t.Errorf("asked for %v and removed %d, want %d and %d", daemon.asked, daemon.removed, test.asked, test.removed)
			}
			for n, subnet := range daemon.asked {
				if !subnets.Overlaps(subnet) || slices.Contains(daemon.asked[:n], subnet) {
					t.Errorf("asked for %v, want another of %s each time", daemon.asked, subnets)
				}
			}
		})
	}
}

// What devices have is not chosen, and each run begins elsewhere.
func TestFreeSubnets(t *testing.T) {
	n, err := bridge.New() // with all of them
	rundirtest.Require(t, "bridge", err)
	defer n.Close()
	free := func(id string) (free []netip.Prefix, err error) {
		osthread.InNetwork(n.Path(), func() error {
			free, err = freeSubnets(id)
			return nil
		})
		return free, err
	}
	if all, err := free("one"); !errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("of what a device has %v are free, %v", all, err)
	}
	half := netip.MustParsePrefix("198.19.0.1/16")
	err = errors.Join(removeDevice(n.Path(), "bridge"), osthread.InNetwork(n.Path(), func() error { return addDevice("half", half) }))
	one, oerr := free("one")
	two, terr := free("two")
	if err := errors.Join(err, oerr, terr); err != nil {
		t.Fatal(err)
	}
	if len(one) != 32 || slices.ContainsFunc(one, half.Overlaps) || slices.Equal(one, two) {
		t.Errorf("beside %s there are %v and %v", half, one, two)
	}
	slices.SortFunc(one, netip.Prefix.Compare)
	if one = slices.Compact(one); len(one) != 32 || one[0].String() != "198.18.0.0/21" || one[31].String() != "198.18.248.0/21" {
		t.Errorf("the subnets are %v", one)
	}
}

// An address is given to one container at a time, and to another when all have
// been given once.
func TestAddressesOfABridge(t *testing.T) {
	subnet := netip.MustParsePrefix("198.18.8.0/29")
	b := &runBridge{subnet: subnet, last: gatewayOf(subnet), taken: map[netip.Addr]bool{}}
	take := func(want string) {
		t.Helper()
		if got, err := b.take(); err != nil || got.String() != want {
			t.Errorf("given %s, %v, want %s", got, err, want)
		}
	}
	take("198.18.8.2")
	b.giveBack(netip.MustParseAddr("198.18.8.2"))
	for _, ip := range []string{"198.18.8.3", "198.18.8.4", "198.18.8.5", "198.18.8.6", "198.18.8.2"} {
		take(ip)
	}
	if ip, err := b.take(); err == nil {
		t.Errorf("given %s, which another has", ip)
	}
	b.giveBack(netip.MustParseAddr("198.18.8.4"))
	take("198.18.8.4")
}
