package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

var _ runtime.Server = (*Runtime)(nil)

const defaultPort = "8080" // of a server on a bridge, which has an address for itself

// serverImage is an image whose guest is a server.
type serverImage struct {
	*image
	network container.NetworkMode // the host's, or of the run's bridge
}

// PrepareServer packs the root file system of the guest's server as an image and
// loads it, and has the daemon make a bridge if there is to be one and is not yet.
// The pool is for guests that have no server of their own.
func (r *Runtime) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (runtime.ServerImage, error) {
	i, err := r.prepare(ctx, w, workload.ServerRootFS)
	if err != nil {
		return nil, err
	}
	s := serverImage{image: i, network: network.NetworkHost}
	if o.Bridge {
		if s.network, err = i.link.bridged(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("docker: %w", i.link.explain(err)), i.Close())
		}
	}
	return s, nil
}

// service is a container whose guest is a server.
type service struct {
	*guest
	address string
	ip      netip.Addr // of the container on a bridge, none in the host's network
}

// Serve creates a container and starts it, with the marks Create and Start. On a
// bridge only the port of the address counts.
func (i serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	s := &service{guest: i.newGuest(false)}
	err := s.settle(i.network, address)
	if err == nil {
		err = s.create(ctx, place{i.network, s.ip}, s.address)
	}
	if err == nil {
		mark(runtime.Create, time.Now())
		err = s.begin(ctx, mark)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("docker: %w", i.link.explain(err)), s.Close())
	}
	return s, nil
}

// settle chooses where the server is to listen.
func (s *service) settle(network container.NetworkMode, asked string) (err error) {
	port := defaultPort
	if asked != "" {
		if _, port, err = net.SplitHostPort(asked); err != nil {
			return fmt.Errorf("serving at %q: %w", asked, err)
		}
	}
	switch {
	case !network.IsHost():
		if s.ip, err = s.image.link.bridge.take(); err == nil {
			s.address = net.JoinHostPort(s.ip.String(), port)
		}
	case asked != "":
		s.address = asked
	default:
		s.address, err = runtime.FreeAddress()
	}
	return err
}

// Close removes the container, whose address is free then.
func (s *service) Close() error {
	if err := s.guest.Close(); err != nil {
		return err
	}
	if s.ip.IsValid() {
		s.image.link.bridge.giveBack(s.ip)
		s.ip = netip.Addr{}
	}
	return nil
}

// Address is the host and the port where the guest is reached.
func (s *service) Address() string { return s.address }

// Ended is closed when the container has ended.
func (s *service) Ended() <-chan struct{} { return s.life.exited }

// Explain adds the guest's status, if it has ended, and what it wrote.
func (s *service) Explain(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-s.life.exited:
		err = s.ended(context.Background(), err, exitTime)
	default:
		err = oci.WithLog(err, s.life.stream.log.String())
	}
	// It was not the daemon that was talked to: its end is not waited for.
	return fmt.Errorf("docker: %w", s.image.link.ended(err))
}
