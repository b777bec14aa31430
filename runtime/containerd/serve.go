package containerd

import (
	"context"
	"errors"
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

// Digest is that of the image's manifest, as sha256:hex.
func (i *serverImage) Digest() string { return i.image.Digest() }

func (i *serverImage) Close() error { return errors.Join(i.image.Close(), i.network.Close()) }

// Serve makes a container for the guest's server. Its marks are those of
// Image.Start, but for Ready; on a bridge Load includes the making of the
// container's network, and only the port of the address counts.
func (i *serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	c := newContainer(i.image)
	seat, err := i.network.Seat(ctx, address)
	if err != nil {
		return nil, c.word(err)
	}
	err = c.create(ctx, oci.Container{
		Args:        []string{i.image.command, seat.Address},
		HostNetwork: i.network == nil, Network: seat.Path(),
	}, mark)
	if err == nil {
		err = c.begin(ctx, true, mark)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(c.abandon(err), seat.Close())
	}
	return &service{container: c, task: c.task, seat: seat}, nil
}

// service is a container whose guest serves.
type service struct {
	container *container
	task      *task
	seat      *bridge.Seat
}

var _ runtime.Networked = (*service)(nil)

// Address is the host and the port that the guest was told.
func (s *service) Address() string { return s.seat.Address }

// Network is where the bridge is, if the container is on one.
func (s *service) Network() string { return s.seat.Network() }

// Ended is closed when the guest has ended, or its daemon has.
func (s *service) Ended() <-chan struct{} { return s.task.exited }

// Explain adds to err how the guest ended, if it has, and what it wrote.
func (s *service) Explain(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-s.task.exited:
		err = s.task.exit(context.Background(), err)
	default:
		err = oci.WithLog(err, s.task.stdio.log.String())
	}
	return s.container.word(err)
}

// Scope is as that of an instance.
func (s *service) Scope() runtime.Scope { return s.container.Scope() }

// Close kills the guest and removes its container and its place on the bridge.
func (s *service) Close() error { return errors.Join(s.container.Close(), s.seat.Close()) }
