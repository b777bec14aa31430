package containerd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// errStopped is the error of asking a guest that Stop has ended.
var errStopped = errors.New("the guest is stopped")

// container is a snapshot and a container of one ID, and the task of that ID
// that there is.
type container struct {
	image  *image
	id     string
	cgroup string
	mounts []mount.Mount // of the snapshot

	task   *task // nil while there is none
	paused bool  // its processes may be frozen
}

func newContainer(i *image) *container {
	id := "c" + strconv.FormatInt(i.link.last.Add(1), 10)
	return &container{image: i, id: id, cgroup: i.link.dir.Cgroup(id)}
}

// detached returns a context for what is left to finish even if ctx ends.
func (c *container) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.image.context(context.WithoutCancel(ctx)), cleanTime)
}

// create makes the snapshot and the container. The services are called as such:
// the client's objects around them would ask for the image, the container and
// the snapshot once more, all of which are known here.
func (c *container) create(ctx context.Context, config oci.Container, mark func(runtime.Phase, time.Time)) (err error) {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	detached, cancel := c.detached(ctx)
	defer cancel()
	if c.mounts, err = c.image.snapshotter.Prepare(detached, c.id, c.image.chain); err != nil {
		return fmt.Errorf("preparing the snapshot: %w", err)
	}
	mark(runtime.Load, time.Now())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	config.Cgroup, config.Directory = c.cgroup, c.image.directory
	spec, err := oci.Spec(config)
	if err != nil {
		return err
	}
	l := c.image.link
	if c.image.group != nil {
		spec.Annotations = map[string]string{groupAnnotation: groupName}
	}
	specAny, err := typeurl.MarshalAny(spec)
	if err != nil {
		return err
	}
	_, err = l.client.ContainerService().Create(detached, containers.Container{
		ID:          c.id,
		Image:       c.image.name,
		Runtime:     containers.RuntimeInfo{Name: l.options.Runtime, Options: c.image.options},
		Spec:        specAny,
		Snapshotter: l.options.Snapshotter,
		SnapshotKey: c.id,
	})
	if err != nil {
		return fmt.Errorf("creating the container: %w", err)
	}
	return nil
}

// start starts a task and waits for the guest's greeting.
func (c *container) start(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	if err := c.begin(ctx, false, mark); err != nil {
		return err
	}
	if err := c.task.stdio.conn.Ready(ctx); err != nil {
		return c.task.explain(ctx, err)
	}
	mark(runtime.Ready, time.Now())
	return nil
}

// begin makes a task and starts it. A task that could not be made is ended here,
// because others may wait for what becomes of it.
func (c *container) begin(ctx context.Context, serves bool, mark func(runtime.Phase, time.Time)) error {
	if err := hostdir.Check(c.image.directory); err != nil {
		return err
	}
	t, err := c.newTask(serves)
	if err != nil {
		return err
	}
	if t.member, err = c.image.group.enter(ctx); err != nil {
		return errors.Join(err, t.stdio.Close())
	}
	c.task = t
	detached, cancel := c.detached(ctx)
	defer cancel()
	if err := t.create(detached); err != nil {
		return errors.Join(err, c.end())
	}
	t.member.joined(t.pid)
	mark(runtime.Create, time.Now())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := t.start(detached); err != nil {
		return err
	}
	mark(runtime.Start, time.Now())
	t.shim, _ = shimOf(t.pid) // which is asked again where it is needed
	return nil
}

// abandon closes a container that could not be started and words the error.
func (c *container) abandon(err error) error {
	err = c.word(err)
	if cerr := c.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return err
}

// word names the runtime in err and says what is known of its daemon.
func (c *container) word(err error) error {
	return fmt.Errorf("%s: %w", c.image.link.options.Name, c.image.link.explain(err))
}

// Call asks the guest.
func (c *container) Call(ctx context.Context, request []byte) ([]byte, error) {
	if c.task == nil {
		return nil, c.word(errStopped)
	}
	answer, err := c.task.stdio.conn.Call(ctx, request)
	if err != nil {
		return nil, c.word(c.task.explain(ctx, err))
	}
	return answer, nil
}

// Scope names the guest's process and its shim, which is its parent unless it
// has died, and as shared the daemon and a shim that other containers have too.
// Where the shim cannot be found out Own is empty, for the guest alone would
// pass for the whole.
func (c *container) Scope() runtime.Scope {
	s := runtime.Scope{Shared: []int{c.image.link.pid}, Cgroup: c.cgroup}
	if c.task == nil {
		return s
	}
	shim, err := shimOf(c.task.pid)
	if err == nil {
		c.task.shim = shim
	} else if c.task.shim == 0 {
		return s
	}
	s.Own, s.Shim = []int{c.task.pid}, c.task.shim
	switch {
	case s.Shim == 0:
	case c.image.group != nil:
		s.Shared = append(s.Shared, s.Shim)
	default:
		s.Own = append(s.Own, s.Shim)
	}
	return s
}

// Stop ends the guest, which is given a moment to end by itself, and deletes
// the task, with which its shim goes. The container and its snapshot stay. What
// it has begun it finishes even if ctx ends.
func (c *container) Stop(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil && c.task == nil {
		err = errStopped
	}
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return c.word(fmt.Errorf("stopping container %s: %w", c.id, err))
	}
	return nil
}

// Restart makes a new task on the same snapshot and starts it. Its marks are
// those of Start, but for Load.
func (c *container) Restart(ctx context.Context, mark func(runtime.Phase, time.Time)) error {
	err := context.Cause(ctx)
	if err == nil && c.task != nil {
		err = errors.New("the guest is not stopped")
	}
	if err == nil {
		err = c.start(ctx, mark)
	}
	if err != nil {
		return c.word(fmt.Errorf("restarting container %s: %w", c.id, err))
	}
	return nil
}

// Pause freezes the guest by the task service.
func (c *container) Pause(ctx context.Context) error {
	return c.control(ctx, "pausing", func(ctx context.Context, t tasks.TasksClient) error {
		c.paused = true // until it is known to be resumed
		_, err := t.Pause(ctx, &tasks.PauseTaskRequest{ContainerID: c.id})
		return err
	})
}

// Resume thaws the guest by the task service.
func (c *container) Resume(ctx context.Context) error {
	return c.control(ctx, "resuming", func(ctx context.Context, t tasks.TasksClient) error {
		_, err := t.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: c.id})
		if err == nil {
			c.paused = false
		}
		return err
	})
}

func (c *container) control(ctx context.Context, doing string, call func(context.Context, tasks.TasksClient) error) error {
	err := context.Cause(ctx)
	if err == nil && c.task == nil {
		err = errStopped
	}
	if err == nil {
		if err = errgrpc.ToNative(call(c.image.link.context(ctx), c.image.link.client.TaskService())); err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return c.word(fmt.Errorf("%s container %s: %w", doing, c.id, err))
	}
	return nil
}

// end ends the task that there is, which stays if it cannot be ended. A task that
// has ended does not, whatever becomes of its shim.
func (c *container) end() error {
	t := c.task
	waiting, cancel := context.WithTimeout(context.Background(), turnTime)
	defer cancel()
	err := t.member.leave(waiting, func() error {
		ctx, cancel := c.image.cleaning()
		defer cancel()
		// A frozen guest does not notice that its input has ended.
		if err := t.end(ctx, t.stdio.conn != nil && !c.paused); err != nil {
			return err
		}
		c.task, c.paused = nil, false
		return nil
	})
	return errors.Join(err, t.stdio.Close())
}

// Close ends the guest, which is given a moment to end by itself, and removes
// its task, its container and its snapshot. A container whose task cannot be
// ended is kept, for what removes it later finds the task by it.
func (c *container) Close() error {
	var err error
	if c.task != nil {
		err = c.end()
	}
	if c.task == nil {
		ctx, cancel := c.image.cleaning()
		defer cancel()
		err = errors.Join(err, ignoreNotFound(c.image.link.client.ContainerService().Delete(ctx, c.id)),
			ignoreNotFound(c.image.snapshotter.Remove(ctx, c.id)))
	}
	if err != nil {
		return c.word(fmt.Errorf("removing container %s: %w", c.id, err))
	}
	return nil
}
