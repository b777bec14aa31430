package containerd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// purgeOf returns what clears, for rundir.Sweep, a dead run's objects in a
// daemon of the host. Runs in daemons other than that of the options are left
// to whoever uses those.
func purgeOf(o Options) func(ctx context.Context, address, id string) error {
	return func(ctx context.Context, address, id string) error {
		if address != o.Address {
			return rundir.ErrLater
		}
		c, err := client.New(address)
		if err != nil {
			return err
		}
		defer c.Close()
		return purge(ctx, c, rundir.Namespace(id))
	}
}

// purge removes everything in the namespace, and the namespace.
func purge(ctx context.Context, c *client.Client, namespace string) error {
	ctx = namespaces.WithNamespace(ctx, namespace)
	list, err := c.ContainerService().List(ctx)
	if err != nil {
		return err
	}
	err = rundir.RemoveAll(list, func(r containers.Container) error {
		if err := endTask(ctx, c.TaskService(), r.ID); err != nil {
			return err // its record is how it is found again
		}
		return errors.Join(
			ignoreNotFound(c.SnapshotService(r.Snapshotter).Remove(ctx, r.SnapshotKey)),
			ignoreNotFound(c.ContainerService().Delete(ctx, r.ID)))
	})
	if err != nil {
		return err // what is below them is collected when an image or a lease goes
	}
	imgs, err := c.ImageService().List(ctx)
	errs := []error{err}
	for _, i := range imgs {
		errs = append(errs, ignoreNotFound(c.ImageService().Delete(ctx, i.Name, images.SynchronousDelete())))
	}
	ls, err := c.LeasesService().List(ctx)
	errs = append(errs, err)
	for _, l := range ls {
		errs = append(errs, ignoreNotFound(c.LeasesService().Delete(ctx, l, leases.SynchronousDelete)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return ignoreNotFound(c.NamespaceService().Delete(ctx, namespace))
}

// endTask kills a task, waits for its end and deletes it.
func endTask(ctx context.Context, t tasks.TasksClient, id string) error {
	err := killTask(ctx, t, id)
	for shimDied(err) { // until containerd has cleared up after it
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
		err = killTask(ctx, t, id)
	}
	if err != nil {
		return err
	}
	return deleteTask(ctx, t, id)
}

// killTask kills a task, if there is one, and waits for its end.
func killTask(ctx context.Context, t tasks.TasksClient, id string) error {
	_, err := t.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL)})
	if err == nil {
		_, err = t.Wait(ctx, &tasks.WaitRequest{ContainerID: id})
	}
	return ignoreNotFound(errgrpc.ToNative(err))
}

// shimDied tells the error of a task whose shim is no more: containerd kills and
// forgets the task then, but it takes a moment.
func shimDied(err error) bool {
	return err != nil && strings.Contains(err.Error(), ttrpc.ErrClosed.Error())
}

// deleteTask deletes a task that has ended, if it is still there. It is asked for
// once more where that fails: a shim that several tasks share may end with the
// last of them before it has answered, and then the task is gone all the same.
func deleteTask(ctx context.Context, t tasks.TasksClient, id string) error {
	var err error
	for range 2 {
		_, err = t.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
		if err = ignoreNotFound(errgrpc.ToNative(err)); err == nil {
			break
		}
	}
	return err
}
