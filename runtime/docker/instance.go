package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// instance is a container whose guest is a worker. It can be restarted and
// paused.
type instance struct{ *guest }

var (
	_ runtime.Restarter = instance{}
	_ runtime.Pauser    = instance{}
)

// Start creates a container and starts it. The marks are
// Create when the container is there, Start when the daemon has started it and
// Ready when the guest has greeted.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	inst := instance{i.newGuest(true)}
	err := inst.create(ctx, place{network: container.NetworkMode(i.link.network)})
	if err == nil {
		mark(runtime.Create, time.Now())
		err = inst.start(ctx, mark)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("docker: %w", i.link.explain(err)), inst.Close())
	}
	return inst, nil
}

// start starts the guest and waits for its greeting.
func (i instance) start(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	if err := i.begin(ctx, mark); err != nil {
		return err
	}
	if err := i.stream.conn.Ready(ctx); err != nil {
		return i.cause(ctx, err)
	}
	mark(runtime.Ready, time.Now())
	return nil
}

// cause makes of an error that came with the end of the guest's output or input an
// *oci.ExitError if the guest ends indeed.
func (i instance) cause(ctx context.Context, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return i.ended(ctx, err, exitTime)
	}
	return err
}

// Call asks the guest.
func (i instance) Call(ctx context.Context, request []byte) ([]byte, error) {
	if i.stream == nil {
		return nil, errors.New("docker: the guest has been stopped")
	}
	answer, err := i.stream.conn.Call(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", i.image.link.explain(i.cause(ctx, err)))
	}
	return answer, nil
}

// Stop ends the guest and keeps the container with its root file system. What it
// has begun it finishes even if ctx ends.
func (i instance) Stop(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil {
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		if err = i.stop(cleaning); err == nil {
			// dockerd still has the container locked when it tells that the guest
			// has ended, and a restart would wait for that.
			_, err = i.client().ContainerInspect(cleaning, i.name, client.ContainerInspectOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("docker: stopping container %s: %w", i.name, i.image.link.explain(err))
	}
	return nil
}

// Restart starts the container again, with the marks Start and Ready.
func (i instance) Restart(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	if i.stream != nil {
		return fmt.Errorf("docker: container %s has not been stopped", i.name)
	}
	if err := i.start(ctx, mark); err != nil {
		return fmt.Errorf("docker: restarting: %w", i.image.link.explain(err))
	}
	return nil
}

// Pause freezes the container's processes.
func (i instance) Pause(ctx context.Context) error {
	if err := i.pause(ctx); err != nil {
		return fmt.Errorf("docker: pausing: %w", i.image.link.explain(err))
	}
	return nil
}

// Resume thaws the container's processes.
func (i instance) Resume(ctx context.Context) error {
	if err := i.resume(ctx); err != nil {
		return fmt.Errorf("docker: resuming: %w", i.image.link.explain(err))
	}
	return nil
}
