package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

const (
	grace     = 250 * time.Millisecond // for a guest whose input has ended
	deathTime = 5 * time.Second        // for a guest whose output has ended
)

// task is a guest from its creation to its end.
type task struct {
	container *container
	service   tasks.TasksClient

	member *member
	stdio  *stdio
	pid    int // of the guest, 0 until there is a task
	shim   int // its parent; 0 if it is not known or has died

	stop   context.CancelFunc // ends the waiting for the task's end
	exited chan struct{}      // status or err is set
	status int
	err    error
}

func (c *container) newTask(serves bool) (*task, error) {
	stdio, err := openStdio(c.image.link.dir.Path(c.id), serves)
	if err != nil {
		return nil, err
	}
	return &task{container: c, service: c.image.link.client.TaskService(), stdio: stdio}, nil
}

func (t *task) create(ctx context.Context) error {
	created, err := t.service.Create(ctx, &tasks.CreateTaskRequest{
		ContainerID: t.container.id,
		Rootfs:      mount.ToProto(t.container.mounts),
		Stdin:       t.stdio.path("in"),
		Stdout:      t.stdio.path("out"),
		Stderr:      t.stdio.path("err"),
	})
	if err != nil {
		return classify("creating the task", err)
	}
	t.pid = int(created.Pid)
	return nil
}

func (t *task) start(ctx context.Context) error {
	t.stdio.collect()
	t.wait()
	started, err := t.service.Start(ctx, &tasks.StartRequest{ContainerID: t.container.id})
	if err != nil {
		return classify("starting the task", err)
	}
	// A shim may make the guest's process only now.
	t.pid = int(started.Pid)
	return nil
}

// classify makes of an error of the task service what the library's errors are.
func classify(doing string, err error) error {
	err = errgrpc.ToNative(err)
	return oci.ClassifyCreate(fmt.Errorf("%s: %w", doing, err), err.Error())
}

// wait learns of the task's end, at which writing to the guest fails, and soon
// after reading does: a shim may still hold the other ends.
func (t *task) wait() {
	ctx, cancel := context.WithCancel(t.container.image.link.context(context.Background()))
	t.stop, t.exited = cancel, make(chan struct{})
	go func() {
		defer close(t.exited)
		exit, err := t.service.Wait(ctx, &tasks.WaitRequest{ContainerID: t.container.id})
		if err != nil {
			t.status, t.err = -1, errgrpc.ToNative(err)
		} else {
			t.status = int(exit.ExitStatus)
		}
		if t.stdio.conn != nil {
			t.stdio.in.SetWriteDeadline(time.Unix(1, 0))
			t.stdio.out.SetReadDeadline(time.Now().Add(deathTime))
		}
	}()
}

// explain makes of an error that came with the end of the guest's output an
// *oci.ExitError if the guest ends indeed.
func (t *task) explain(ctx context.Context, err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return t.exit(ctx, err)
}

// exit makes of err an *oci.ExitError if the guest ends.
func (t *task) exit(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, deathTime)
	defer cancel()
	select {
	case <-t.exited:
	case <-ctx.Done():
		return err
	}
	if t.err != nil {
		return fmt.Errorf("%w (and waiting for the guest: %w)", err, t.err)
	}
	select {
	case <-t.stdio.read:
	case <-ctx.Done():
	}
	return oci.ClassifyExit(&oci.ExitError{Status: t.status, Stderr: t.stdio.log.String(), Err: err})
}

// end ends a task, also one that could perhaps not be made. If it is patient it
// closes the guest's input, of which the shim holds a writing end too, and kills
// the guest only if that does not end it in time.
func (t *task) end(ctx context.Context, patient bool) error {
	id := t.container.id
	if t.stop == nil {
		return endTask(ctx, t.service, id)
	}
	defer t.stop()
	var patience time.Duration
	if patient {
		patience = grace
		t.stdio.in.Close()
		t.service.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: id, Stdin: true})
	}
	select {
	case <-t.exited:
		if t.err == nil {
			return deleteTask(ctx, t.service, id)
		}
		// The waiting has ended, as it does with the daemon: the guest may run.
	case <-time.After(patience):
	}
	return endTask(ctx, t.service, id)
}
