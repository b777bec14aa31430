package runc

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// serverImage is an image whose guest serves.
type serverImage struct{ image *image }

func (i serverImage) Bytes() int64 { return i.image.Bytes() }

func (i serverImage) Close() error { return i.image.Close() }

// Serve has runc run the guest's server in the host's network and returns when
// runc has ended, which is the mark Start. Load is as in Image.Start.
func (i serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (_ runtime.Service, err error) {
	if address == "" {
		if address, err = runtime.FreeAddress(); err != nil {
			return nil, err
		}
	}
	c, err := i.image.make(ctx, oci.Container{Args: []string{oci.Entrypoint, address}, HostNetwork: true}, mark)
	if err == nil {
		c.life, err = c.begin(true)
	}
	if err == nil {
		err = c.life.made(ctx)
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	mark(runtime.Start, c.life.ended)
	return &service{container: c, life: c.life, address: address}, nil
}

// service is a container whose guest serves.
type service struct {
	container *container
	life      *life
	address   string
}

// Address is the host and the port that the guest was told.
func (s *service) Address() string { return s.address }

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

// Close kills the guest and removes its container.
func (s *service) Close() error { return s.container.Close() }
