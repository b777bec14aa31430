package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

var _ runtime.Server = (*Runtime)(nil)

// serverImage is an image whose guest is a server.
type serverImage struct{ *image }

// PrepareServer packs the root file system of the guest's server as an image and
// loads it. The options are for guests that have no server of their own.
func (r *Runtime) PrepareServer(ctx context.Context, w workload.Workload, _ runtime.ServeOptions) (runtime.ServerImage, error) {
	i, err := r.prepare(ctx, w, workload.ServerRootFS)
	if err != nil {
		return nil, err
	}
	return serverImage{i}, nil
}

// service is a container whose guest is a server. It is in the host's network.
type service struct {
	*guest
	address string
}

// Serve creates a container in the host's network and starts it, with the marks
// Create and Start.
func (i serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	if address == "" {
		var err error
		if address, err = runtime.FreeAddress(); err != nil {
			return nil, fmt.Errorf("docker: %w", err)
		}
	}
	s := &service{guest: i.newGuest(false), address: address}
	err := s.create(ctx, network.NetworkHost, address)
	if err == nil {
		mark(runtime.Create, time.Now())
		err = s.begin(ctx, mark)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("docker: %w", i.link.explain(err)), s.Close())
	}
	return s, nil
}

// Address is the host and the port that the guest was given.
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
