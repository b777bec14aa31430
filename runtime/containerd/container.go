package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

const (
	grace     = 250 * time.Millisecond // for a guest whose input has ended
	deathTime = 5 * time.Second        // for a guest whose output has ended
)

// container is a running guest: a snapshot, a container and a task of that ID.
type container struct {
	image  *image
	id     string
	cgroup string
	tasks  tasks.TasksClient

	stdio *stdio
	pid   int  // of the guest, 0 until there is a task
	tried bool // there may be a task

	stop   context.CancelFunc // ends the waiting for the task's end
	exited chan struct{}      // status or waitErr is set
	status int
	err    error
}

func newContainer(i *image) *container {
	id := "c" + strconv.FormatInt(i.link.last.Add(1), 10)
	return &container{image: i, id: id, cgroup: i.link.dir.Cgroup(id), tasks: i.link.client.TaskService()}
}

func (c *container) start(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	detached, cancel := context.WithTimeout(c.image.context(context.WithoutCancel(ctx)), cleanTime)
	defer cancel()
	mounts, err := c.image.snapshotter.Prepare(detached, c.id, c.image.chain)
	if err != nil {
		return fmt.Errorf("preparing the snapshot: %w", err)
	}
	mark(runtime.Load, time.Now())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := c.create(detached, mounts); err != nil {
		return err
	}
	mark(runtime.Create, time.Now())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	c.stdio.collect()
	c.wait()
	if _, err := c.tasks.Start(detached, &tasks.StartRequest{ContainerID: c.id}); err != nil {
		return c.classify("starting the task", err)
	}
	mark(runtime.Start, time.Now())
	if err := c.stdio.conn.Ready(ctx); err != nil {
		return c.explain(ctx, err)
	}
	mark(runtime.Ready, time.Now())
	return nil
}

// create makes the container and its task. The services are called as such:
// the client's objects around them would ask for the image, the container and
// the snapshot once more, all of which are known here.
func (c *container) create(ctx context.Context, mounts []mount.Mount) (err error) {
	spec, err := oci.Spec(c.cgroup)
	if err != nil {
		return err
	}
	specAny, err := typeurl.MarshalAny(spec)
	if err != nil {
		return err
	}
	o := c.image.link.options
	_, err = c.image.link.client.ContainerService().Create(ctx, containers.Container{
		ID:          c.id,
		Image:       c.image.name,
		Runtime:     containers.RuntimeInfo{Name: o.Runtime, Options: c.image.options},
		Spec:        specAny,
		Snapshotter: o.Snapshotter,
		SnapshotKey: c.id,
	})
	if err != nil {
		return fmt.Errorf("creating the container: %w", err)
	}
	if c.stdio, err = openStdio(c.image.link.dir.Path(c.id)); err != nil {
		return err
	}
	c.tried = true
	task, err := c.tasks.Create(ctx, &tasks.CreateTaskRequest{
		ContainerID: c.id,
		Rootfs:      mount.ToProto(mounts),
		Stdin:       c.stdio.path("in"),
		Stdout:      c.stdio.path("out"),
		Stderr:      c.stdio.path("err"),
	})
	if err != nil {
		return c.classify("creating the task", err)
	}
	c.pid = int(task.Pid)
	return nil
}

// classify makes of an error of the task service what the library's errors are.
func (c *container) classify(doing string, err error) error {
	err = errgrpc.ToNative(err)
	return oci.ClassifyCreate(fmt.Errorf("%s: %w", doing, err), err.Error())
}

// wait learns of the task's end, at which writing to the guest fails.
func (c *container) wait() {
	ctx, cancel := context.WithCancel(c.image.link.context(context.Background()))
	c.stop, c.exited = cancel, make(chan struct{})
	go func() {
		defer close(c.exited)
		exit, err := c.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: c.id})
		if err != nil {
			c.status, c.err = -1, errgrpc.ToNative(err)
		} else {
			c.status = int(exit.ExitStatus)
		}
		c.stdio.in.SetWriteDeadline(time.Unix(1, 0))
	}()
}

// explain makes of an error that came with the end of the guest's output an
// *oci.ExitError if the guest ends indeed.
func (c *container) explain(ctx context.Context, err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deathTime)
	defer cancel()
	select {
	case <-c.exited:
	case <-ctx.Done():
		return err
	}
	if c.err != nil {
		return fmt.Errorf("%w (and waiting for the guest: %w)", err, c.err)
	}
	select {
	case <-c.stdio.read:
	case <-ctx.Done():
	}
	return &oci.ExitError{Status: c.status, Stderr: c.stdio.stderr.String(), Err: err}
}

// Call asks the guest.
func (c *container) Call(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := c.stdio.conn.Call(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("containerd: %w", c.image.link.explain(c.explain(ctx, err)))
	}
	return answer, nil
}

// Scope names the guest's process and its shim, which is its parent, and the
// daemon as shared.
func (c *container) Scope() runtime.Scope {
	s := runtime.Scope{Own: []int{c.pid}, Shared: []int{c.image.link.pid}, Cgroup: c.cgroup}
	if shim, err := parent(c.pid); err == nil {
		s.Own = append(s.Own, shim)
	}
	return s
}

// Close ends the guest, which is given a moment to end by itself, and removes
// its task, its container and its snapshot.
func (c *container) Close() error {
	ctx, cancel := c.image.cleaning()
	defer cancel()
	var errs []error
	if c.stdio != nil {
		errs = append(errs, c.end(ctx), c.stdio.Close())
	}
	errs = append(errs, ignoreNotFound(c.image.link.client.ContainerService().Delete(ctx, c.id)),
		ignoreNotFound(c.image.snapshotter.Remove(c.image.context(ctx), c.id)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("containerd: removing container %s: %w", c.id, c.image.link.explain(err))
	}
	return nil
}

// end closes the guest's input, of which the shim holds a writing end too, and
// kills the guest if that does not end it.
func (c *container) end(ctx context.Context) error {
	if c.stop == nil {
		if !c.tried {
			return nil
		}
		return endTask(ctx, c.tasks, c.id)
	}
	defer c.stop()
	c.stdio.in.Close()
	c.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: c.id, Stdin: true})
	select {
	case <-c.exited:
	case <-time.After(grace):
		if _, err := c.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: c.id, Signal: uint32(unix.SIGKILL)}); err != nil {
			if err = ignoreNotFound(errgrpc.ToNative(err)); err != nil {
				return err
			}
		}
		select {
		case <-c.exited:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	_, err := c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: c.id})
	return ignoreNotFound(errgrpc.ToNative(err))
}
