package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	grace    = 250 * time.Millisecond // for a guest whose input has ended
	exitTime = 5 * time.Second        // for a guest whose output has ended
)

// runLabel has the run's ID as its value on every container and network.
const runLabel = "invalid.wasmbench.run"

// guest is one container of an image and what runs in it.
type guest struct {
	image  *image
	name   string
	worker bool // it speaks the worker protocol rather than HTTP

	stream *stream // nil unless it is attached to
	life   *life   // of the latest start, nil before
	paused bool
	pid    int    // of the latest start, 0 if unknown
	shim   int    // of that process, 0 if unknown or dead
	id     string // of the container, if pid is known
}

// A life is what is between a container's start and its end.
type life struct {
	stream *stream
	stop   context.CancelFunc // ends the waiting
	exited chan struct{}      // status or err is set
	status int
	err    error
}

func (i *image) newGuest(worker bool) *guest {
	l := i.link
	return &guest{image: i, name: "wasmbench-" + l.dir.ID() + "-" + strconv.FormatInt(l.last.Add(1), 10), worker: worker}
}

func (g *guest) client() *client.Client { return g.image.link.client }

// A place is a container's in a network.
type place struct {
	network container.NetworkMode
	ip      netip.Addr // on a network of the run's own, else none
}

// config asks for the address, as the daemon's own choice would have to be asked
// for after the start.
func (p place) config() *network.NetworkingConfig {
	if !p.ip.IsValid() {
		return nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		p.network.NetworkName(): {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: p.ip}},
	}}
}

// create makes the container, with args after the image's entry point.
//
// What the daemon has begun it is left to finish even if ctx ends, here and in
// begin, for what it makes meanwhile would otherwise belong to nobody.
func (g *guest) create(ctx context.Context, at place, args ...string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := hostdir.Check(g.image.directory); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	l := g.image.link
	host := &container.HostConfig{
		NetworkMode: at.network,
		LogConfig:   container.LogConfig{Type: "none"},
		Resources:   container.Resources{Ulimits: []*container.Ulimit{{Name: "nofile", Soft: oci.OpenFiles, Hard: oci.OpenFiles}}},
	}
	var begins string // in which directory, "" for the image's
	if g.image.directory != "" {
		begins = workload.MountPoint
		host.Mounts = []mount.Mount{{
			Type: mount.TypeBind, Source: g.image.directory, Target: begins,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
		}}
	}
	if l.info.CgroupDriver == "cgroupfs" {
		host.CgroupParent = cgroupParent(l.dir)
	}
	_, err := g.client().ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: g.name,
		Config: &container.Config{
			Image:        g.image.name,
			Cmd:          args,
			Labels:       map[string]string{runLabel: l.dir.ID()},
			AttachStdin:  g.worker,
			AttachStdout: true,
			AttachStderr: true,
			OpenStdin:    g.worker,
			StdinOnce:    g.worker,
			WorkingDir:   begins,

			NetworkDisabled: at.network == "",
		},
		HostConfig:       host,
		NetworkingConfig: at.config(),
	})
	if err != nil {
		return g.unseen(fmt.Errorf("creating the container: %w", err))
	}
	return nil
}

// begin attaches to the container and starts it, for the first time or again.
func (g *guest) begin(ctx context.Context, mark func(runtime.Phase, time.Time)) (err error) {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := hostdir.Check(g.image.directory); err != nil {
		return err
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
	defer cancel()
	if g.stream, err = openStream(detached, g.client(), g.name, g.worker); err != nil {
		return fmt.Errorf("attaching to the container: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := g.client().ContainerStart(detached, g.name, client.ContainerStartOptions{}); err != nil {
		return oci.ClassifyCreate(fmt.Errorf("starting the container: %w", err), err.Error())
	}
	mark(runtime.Start, time.Now())
	g.watch()
	return g.checkDirectory()
}

// watch learns of the container's end, at which writing to the guest fails. A
// container that has ended already is at its end too.
func (g *guest) watch() {
	ctx, cancel := context.WithCancel(context.Background())
	life := &life{stream: g.stream, stop: cancel, exited: make(chan struct{}), status: -1}
	g.life = life
	go func() {
		defer close(life.exited)
		wait := g.client().ContainerWait(ctx, g.name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case r := <-wait.Result:
			life.status = int(r.StatusCode)
			if r.Error != nil {
				life.err = errors.New(r.Error.Message)
			}
		case life.err = <-wait.Error:
		}
		life.stream.refuse()
	}()
}

// stop ends the guest, which is given a moment to end by itself if it is a
// worker, and keeps the container.
func (g *guest) stop(ctx context.Context) error {
	if g.stream != nil {
		defer func() { g.stream.Close(); g.stream = nil }()
	}
	g.pid = 0
	if g.life == nil {
		return nil
	}
	defer g.life.stop()
	if g.life.over() {
		return nil
	}
	if g.paused {
		if err := g.resume(ctx); err != nil {
			return err
		}
	}
	if g.worker && g.stream != nil {
		g.stream.endInput()
		select {
		case <-g.life.exited:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(grace):
		}
		if g.life.over() {
			return nil
		}
	}
	_, killErr := g.client().ContainerKill(ctx, g.name, client.ContainerKillOptions{Signal: "SIGKILL"})
	// That it cannot be killed may mean that it has just ended.
	if err := g.wait(ctx); err != nil {
		return errors.Join(err, killErr)
	}
	return nil
}

// over reports whether the guest is known to have ended. That waiting for it has
// failed, as it does with the connection to the daemon, says nothing.
func (l *life) over() bool {
	select {
	case <-l.exited:
		return l.err == nil
	default:
		return false
	}
}

// wait waits until the guest has ended, anew if that has failed.
func (g *guest) wait(ctx context.Context) error {
	select {
	case <-g.life.exited:
		if g.life.err == nil {
			return nil
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	wait := g.client().ContainerWait(ctx, g.name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		return err
	}
}

func (g *guest) pause(ctx context.Context) error {
	if _, err := g.client().ContainerPause(ctx, g.name, client.ContainerPauseOptions{}); err != nil {
		return err
	}
	g.paused = true
	return nil
}

func (g *guest) resume(ctx context.Context) error {
	if _, err := g.client().ContainerUnpause(ctx, g.name, client.ContainerUnpauseOptions{}); err != nil {
		return err
	}
	g.paused = false
	return nil
}

// Close ends the guest and removes its container, also one of which the daemon
// has not told that it made it.
func (g *guest) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	err := g.stop(ctx)
	if _, rerr := g.client().ContainerRemove(ctx, g.name, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); ignoreNotFound(rerr) != nil {
		err = errors.Join(err, rerr)
	} else {
		err = nil // what could not be stopped was removed all the same
	}
	if err != nil {
		return fmt.Errorf("docker: removing container %s: %w", g.name, g.image.link.explain(err))
	}
	return nil
}

// ended makes of err an *oci.ExitError if the guest ends within limit. It is not
// talked to any more.
func (g *guest) ended(ctx context.Context, err error, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// It may be able to end only when what it has written is read.
	g.life.stream.collect()
	select {
	case <-g.life.exited:
	case <-ctx.Done():
		return err
	}
	if g.life.err != nil {
		return fmt.Errorf("%w (and waiting for the guest: %w)", err, g.life.err)
	}
	select {
	case <-g.life.stream.read:
	case <-time.After(exitTime):
	}
	return oci.ClassifyExit(&oci.ExitError{Status: g.life.status, Stderr: g.life.stream.log.String(), Err: err})
}
