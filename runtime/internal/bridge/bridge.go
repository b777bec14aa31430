// Package bridge makes networks for containers: a bridge, and for each container
// a pair of virtual Ethernet devices between it and a namespace of the container's
// own. The bridge's namespace is held by nothing but descriptors of this process
// and the sockets in it, so that bridge and devices end with the process however
// that does; the container, while it lives, still has its own namespace, which is
// then without a device but the loopback one. Nothing of the host's own network is
// touched. The kernel is asked for all that directly, which takes less than the
// programs that cluster managers have for it.
package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// subnet is the network's. It is one for benchmarks, RFC 2544, and is seen nowhere
// but in the namespaces.
var subnet = netip.MustParsePrefix("198.18.0.0/15")

// gateway is the number of the bridge's address in the subnet.
const gateway = 1

// ErrClosed is the error of Seat on a network that has been closed.
var ErrClosed = errors.New("the bridge has been closed")

// A Network is a bridge in a namespace of its own, in which whoever wants to reach
// a container must be. A nil Network is that of the host, without a bridge.
type Network struct {
	ns     *os.File
	bridge netlink.Link

	mu     sync.Mutex
	handle *netlink.Handle // in ns
	closed bool
	taken  map[uint32]bool // numbers of addresses
}

// New makes a network. It takes the rights of root. The error is an
// *workload.Unavailable where the kernel makes no such devices.
func New() (*Network, error) {
	n := &Network{taken: map[uint32]bool{0: true, gateway: true}}
	if err := n.make(); err != nil {
		return nil, errors.Join(explain(fmt.Errorf("making a bridge: %w", err)), n.Close())
	}
	return n, nil
}

func (n *Network) make() (err error) {
	if n.ns, n.handle, err = newNamespace(); err != nil {
		return err
	}
	// With an address of its own the bridge does not take that of one of its
	// ports, with which it would change.
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = "bridge", hardware(address(gateway))
	n.bridge = &netlink.Bridge{LinkAttrs: attrs}
	if err := n.handle.LinkAdd(n.bridge); err != nil {
		return err
	}
	return configure(n.handle, n.bridge, address(gateway))
}

// Path returns the path of the bridge's namespace, for processes that see those
// of this one, or "" of a nil Network. It is valid until Close.
func (n *Network) Path() string {
	if n == nil {
		return ""
	}
	return pathOf(n.ns)
}

// Close takes the bridge away. Its seats are to be closed first: the servers at
// others are not reached any more. A second one does nothing.
func (n *Network) Close() error {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	var errs []error
	if n.bridge != nil && n.bridge.Attrs().Index != 0 {
		errs = append(errs, n.handle.LinkDel(n.bridge))
	}
	if n.handle != nil {
		n.handle.Close()
	}
	if n.ns != nil {
		errs = append(errs, n.ns.Close())
	}
	return errors.Join(errs...)
}

// with calls do with the handle in the bridge's namespace, or returns ErrClosed: a
// handle that has been closed would make its requests of the namespace in which
// its caller is, which is the host's.
func (n *Network) with(do func(*netlink.Handle) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	return do(n.handle)
}

// take returns the lowest free number of an address.
func (n *Network) take() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	var number uint32
	for n.taken[number] {
		number++
	}
	n.taken[number] = true
	return number
}

func (n *Network) giveBack(number uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.taken, number)
}

// configure gives a device an address and brings it up.
func configure(h *netlink.Handle, link netlink.Link, ip netip.Addr) error {
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(subnet.Bits(), ip.BitLen())}}
	if err := h.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", link.Attrs().Name, ip, err)
	}
	return up(h, link)
}

func up(h *netlink.Handle, link netlink.Link) error {
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing %s up: %w", link.Attrs().Name, err)
	}
	return nil
}

// address returns the address of that number in the subnet.
func address(number uint32) netip.Addr {
	first := subnet.Addr().As4()
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(first[:])+number)
	return netip.AddrFrom4(ip)
}

// hardware returns the Ethernet address that goes with ip, so that what others
// remember of an address holds for whoever has it next.
func hardware(ip netip.Addr) net.HardwareAddr {
	return append(net.HardwareAddr{0x02, 0x00}, ip.AsSlice()...)
}

// explain says what an error of the kernel means. It is an *workload.Unavailable
// where nothing of the kind can be made here.
func explain(err error) error {
	u := &workload.Unavailable{What: "a bridge for containers", Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		u.Why, u.Fix = "networks are made by root only", "run as root, where network namespaces are allowed"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		u.Why, u.Fix = "the kernel does not know its devices", "load the modules bridge and veth"
	case errors.Is(err, unix.EXFULL):
		return fmt.Errorf("a bridge takes 1023 containers and has as many: %w", err)
	default:
		return err
	}
	return u
}
