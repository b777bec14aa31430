package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// errTaken is about addresses that are not this run's alone.
var errTaken = errors.New("the addresses are taken")

// A runBridge is a network of the daemon that is this run's. Its device is in the
// network namespace of the daemon, from where containers are reached without a
// mapping of ports.
type runBridge struct {
	mu     sync.Mutex
	name   string // "" until it is made
	subnet netip.Prefix
	last   netip.Addr // that was given
	taken  map[netip.Addr]bool
}

// bridged returns the mode of containers on the run's bridge, which is made if it
// is not there. It is an *Unavailable where this process is elsewhere than the
// bridge.
func (l *link) bridged(ctx context.Context) (container.NetworkMode, error) {
	b := &l.bridge
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.name != "" {
		return container.NetworkMode(b.name), nil
	}
	free, err := freeSubnets(l.dir.ID())
	if err != nil {
		return "", err
	}
	for _, subnet := range free[:min(len(free), subnetTries)] {
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		if err = l.makeBridge(ctx, bridgeName(l.dir.ID()), subnet); err == nil {
			b.name, b.subnet, b.last, b.taken = bridgeName(l.dir.ID()), subnet, gatewayOf(subnet), map[netip.Addr]bool{}
			return container.NetworkMode(b.name), nil
		} else if !errors.Is(err, errTaken) {
			return "", err
		}
	}
	return "", fmt.Errorf("making a bridge with addresses of %s, of which others have too many: %w", subnets, err)
}

func bridgeName(id string) string { return "wasmbench-" + id }

// makeBridge has the daemon make a network. The error is errTaken where another
// has its addresses.
//
// What the daemon has begun it is left to finish even if ctx ends.
func (l *link) makeBridge(ctx context.Context, name string, subnet netip.Prefix) error {
	device, err := l.dir.UseLink()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	made, err := l.client.NetworkCreate(ctx, name, client.NetworkCreateOptions{
		Driver:  "bridge",
		IPAM:    &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet, Gateway: gatewayOf(subnet)}}},
		Options: map[string]string{"com.docker.network.bridge.name": device},
		Labels:  map[string]string{runLabel: l.dir.ID()},
	})
	if err != nil {
		err = fmt.Errorf("making a bridge network of %s: %w", subnet, err)
		if strings.Contains(err.Error(), "overlap") { // for which the API has no code
			err = fmt.Errorf("%w: %w", errTaken, err)
		}
		return err
	}
	if err := l.reaches(device); err != nil {
		if _, rerr := l.client.NetworkRemove(ctx, made.ID, client.NetworkRemoveOptions{}); rerr != nil {
			// No other may be made before this one is gone.
			return fmt.Errorf("removing a bridge network, as %v: %w", err, rerr)
		}
		return err
	}
	return nil
}

// reaches returns an error where containers behind a device are not reached by
// their addresses: it is not there, or, as errTaken, another is for the same
// addresses, such as that of another daemon which has been given them at the same
// time.
func (l *link) reaches(name string) error {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return unavailable("the daemon at "+l.host+" makes bridges in another network than this process's", "give a daemon in this host's network, or have a private one", err)
	}
	ours, err := prefixes(device)
	if err != nil {
		return err
	}
	others, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, other := range others {
		if other.Index == device.Index {
			continue
		}
		theirs, err := prefixes(&other)
		if err != nil {
			continue // it has just gone
		}
		for _, a := range ours {
			for _, b := range theirs {
				if a.Overlaps(b) {
					return fmt.Errorf("the daemon at %s has given a bridge the addresses %s, of which %s has %s: %w", l.host, a, other.Name, b, errTaken)
				}
			}
		}
	}
	return nil
}

// prefixes returns the IPv4 networks that a device is in.
func prefixes(device *net.Interface) (all []netip.Prefix, err error) {
	addrs, err := device.Addrs()
	for _, addr := range addrs {
		if p, err := netip.ParsePrefix(addr.String()); err == nil && p.Addr().Is4() {
			all = append(all, p.Masked())
		}
	}
	return all, err
}
