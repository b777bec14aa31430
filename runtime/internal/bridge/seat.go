package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// port is where a server on a bridge listens unless another is asked for: it has
// the address for itself.
const port = "8080"

// device is the container's.
const device = "eth0"

// A Seat is where a server is in a network.
type Seat struct {
	// Address is the host and the port at which it is to listen.
	Address string

	network *Network // nil for the host's
	number  uint32   // of the address
	ns      *os.File
	device  netlink.Link // the bridge's end
}

// Seat makes a place for a server. Of an address that is asked for only the port
// counts on a bridge, where each server has a host's address of its own. A bridge
// takes 1023 of them. The error is ErrClosed on a network that is closed.
func (n *Network) Seat(ctx context.Context, asked string) (_ *Seat, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if n == nil {
		if asked == "" {
			asked, err = runtime.FreeAddress()
		}
		return &Seat{Address: asked}, err
	}
	at := port
	if asked != "" {
		if _, at, err = net.SplitHostPort(asked); err != nil {
			return nil, fmt.Errorf("serving at %s: %w", asked, err)
		}
	}
	s := &Seat{network: n, number: n.take()}
	s.Address = net.JoinHostPort(address(s.number).String(), at)
	if err := s.make(); err != nil {
		return nil, errors.Join(explain(fmt.Errorf("making a network for the container: %w", err)), s.Close())
	}
	return s, nil
}

func (s *Seat) make() error {
	ns, h, err := newNamespace()
	if err != nil {
		return err
	}
	s.ns = ns
	defer h.Close()
	ip := address(s.number)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "port" + strconv.FormatUint(uint64(s.number), 10)
	attrs.MasterIndex = s.network.bridge.Attrs().Index
	s.device = &netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         device,
		PeerHardwareAddr: hardware(ip),
		PeerNamespace:    netlink.NsFd(ns.Fd()),
	}
	if err := s.network.with(func(h *netlink.Handle) error { return h.LinkAdd(s.device) }); err != nil {
		return err
	}
	if err := furnish(h, ip); err != nil {
		return err
	}
	return s.network.with(func(h *netlink.Handle) error { return up(h, s.device) })
}

// furnish sets up the container's end, and its loopback interface, which runc
// does only in a namespace that it makes.
func furnish(h *netlink.Handle, ip netip.Addr) error {
	loopback, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := up(h, loopback); err != nil {
		return err
	}
	link, err := h.LinkByName(device)
	if err != nil {
		return err
	}
	return configure(h, link, ip)
}

// remove removes the device. With it goes the other end; or it has gone with
// that, at whose namespace's end, or with the bridge's.
func (s *Seat) remove() error {
	// It has an index as soon as it is there, also where what was to be done with
	// it next has failed.
	if s.device == nil || s.device.Attrs().Index == 0 {
		return nil
	}
	err := s.network.with(func(h *netlink.Handle) error { return h.LinkDel(s.device) })
	if err == unix.ENODEV || err == ErrClosed {
		return nil
	}
	return err
}

// Path returns the path of the namespace that the server is to join, valid until
// Close, or "" for the host's.
func (s *Seat) Path() string {
	if s.network == nil {
		return ""
	}
	return pathOf(s.ns)
}

// Network returns the path of the namespace from which the server is reached, or
// "" for the host's.
func (s *Seat) Network() string { return s.network.Path() }

// Close takes the seat away, also from a network that is closed. A second one does
// nothing.
func (s *Seat) Close() error {
	if s.network == nil || s.number == 0 {
		return nil
	}
	errs := []error{s.remove()}
	if s.ns != nil {
		errs = append(errs, s.ns.Close())
	}
	s.network.giveBack(s.number)
	s.number = 0
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the network of %s: %w", s.Address, err)
	}
	return nil
}
