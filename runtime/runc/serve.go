package runc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// serverImage is an image whose guest serves.
type serverImage struct {
	image   *image
	network *bridge.Network // nil for the host's
}

func (i *serverImage) Bytes() int64 { return i.image.Bytes() }

func (i *serverImage) Close() error { return errors.Join(i.image.Close(), i.network.Close()) }

// Serve has runc run the guest's server and returns when runc has ended, which is
// the mark Start. Load is as in Image.Start; on a bridge it includes the making of
// the container's network, and only the port of the address counts.
func (i *serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	seat, err := i.network.Seat(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("runc: %w", err)
	}
	c, err := i.image.make(ctx, oci.Container{
		Args:        []string{oci.Entrypoint, seat.Address},
		HostNetwork: i.network == nil, Network: seat.Path(),
	}, mark)
	if err == nil {
		c.life, err = c.begin(true)
	}
	if err == nil {
		err = c.life.made(ctx)
	}
	if err != nil {
		return nil, errors.Join(c.abandon(err), seat.Close())
	}
	mark(runtime.Start, c.life.ended)
	return &service{container: c, life: c.life, seat: seat}, nil
}

// service is a container whose guest serves.
type service struct {
	container *container
	life      *life
	seat      *bridge.Seat
}

var _ runtime.Networked = (*service)(nil)

// Address is the host and the port that the guest was told.
func (s *service) Address() string { return s.seat.Address }

// Network is where the bridge is, if the container is on one.
func (s *service) Network() string { return s.seat.Network() }

// Ended is closed when the guest has ended.
func (s *service) Ended() <-chan struct{} { return s.life.gone }

// Explain adds to err that the guest has ended, if it has, and what it wrote.
func (s *service) Explain(err error) error {
	if err == nil {
		return nil
	}
	if !s.life.over() {
		return fmt.Errorf("runc: %w", oci.WithLog(err, s.life.log.String()))
	}
	return fmt.Errorf("runc: %w", s.life.exit(context.Background(), err))
}

// Scope names the container's first process.
func (s *service) Scope() runtime.Scope { return s.container.Scope() }

// Close kills the guest and removes its container and its place on the bridge.
func (s *service) Close() error { return errors.Join(s.container.Close(), s.seat.Close()) }
