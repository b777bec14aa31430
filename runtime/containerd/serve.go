package containerd

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// serverImage is an image whose guest serves.
type serverImage struct{ image *image }

func (i serverImage) Bytes() int64 { return i.image.Bytes() }

// Digest is that of the image's manifest, as sha256:hex.
func (i serverImage) Digest() string { return i.image.Digest() }

func (i serverImage) Close() error { return i.image.Close() }

// Serve makes a container in the host's network for the guest's server. Its
// marks are those of Image.Start, but for Ready.
func (i serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (_ runtime.Service, err error) {
	if address == "" {
		if address, err = runtime.FreeAddress(); err != nil {
			return nil, err
		}
	}
	c := newContainer(i.image)
	err = c.create(ctx, oci.Container{Args: []string{i.image.command, address}, HostNetwork: true}, mark)
	if err == nil {
		err = c.begin(ctx, true, mark)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	return &service{container: c, task: c.task, address: address}, nil
}

// service is a container whose guest serves.
type service struct {
	container *container
	task      *task
	address   string
}

// Address is the host and the port that the guest was told.
func (s *service) Address() string { return s.address }

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

// Close kills the guest and removes its container.
func (s *service) Close() error { return s.container.Close() }
