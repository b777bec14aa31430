package containerd

import (
	"context"
	"errors"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs/pkg/errgrpc"
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
	errs := []error{rundir.RemoveAll(list, func(r containers.Container) error {
		if err := endTask(ctx, c.TaskService(), r.ID); err != nil {
			return err // its record is how it is found again
		}
		return errors.Join(
			ignoreNotFound(c.SnapshotService(r.Snapshotter).Remove(ctx, r.SnapshotKey)),
			ignoreNotFound(c.ContainerService().Delete(ctx, r.ID)))
	})}
	imgs, err := c.ImageService().List(ctx)
	errs = append(errs, err)
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
	if _, err := t.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL)}); err != nil {
		err = errgrpc.ToNative(err)
		if ignoreNotFound(err) != nil {
			return err
		}
	} else if _, err := t.Wait(ctx, &tasks.WaitRequest{ContainerID: id}); err != nil {
		return errgrpc.ToNative(err)
	}
	return deleteTask(ctx, t, id)
}

// deleteTask deletes a task that has ended, if it is still there.
func deleteTask(ctx context.Context, t tasks.TasksClient, id string) error {
	_, err := t.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	return ignoreNotFound(errgrpc.ToNative(err))
}
