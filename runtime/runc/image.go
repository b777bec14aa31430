package runc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// image is the trees that containers use as the lower layers of their root file
// system, and the directory in which the containers are.
type image struct {
	runc  string
	dir   *rundir.Dir
	lower []string // each on top of those before it
	bytes int64
	last  atomic.Int64

	directory string // of the host, in every container, or ""
}

// Bytes is the size of the root file system's files.
func (i *image) Bytes() int64 { return i.bytes }

// Close removes the image's directory and every container left in it.
func (i *image) Close() error { return i.dir.Close() }

// Start makes a container and has runc run it. The mark Load is when its root
// file system is mounted. runc creates and starts a container in one go, so
// Start is marked when runc has ended or, if that is sooner, when the guest was
// heard; Create is never marked. Ready is the guest's greeting.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	c, err := i.make(ctx, oci.Container{}, mark)
	if err == nil {
		err = c.start(ctx, mark)
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	return c, nil
}

// make makes what runc is given of a container as described, save for its
// cgroup. The container is to be closed even after an error.
func (i *image) make(ctx context.Context, config oci.Container, mark func(runtime.Phase, time.Time)) (*container, error) {
	c := i.container("c" + strconv.FormatInt(i.last.Add(1), 10))
	if err := context.Cause(ctx); err != nil {
		return c, err
	}
	if err := i.bundle(c, config); err != nil {
		return c, err
	}
	mark(runtime.Load, time.Now())
	return c, nil
}

func (i *image) container(id string) *container {
	return &container{image: i, id: id, bundle: i.dir.Path(id), cgroup: i.dir.Cgroup(id)}
}

// bundle makes a specification and a root file system.
func (i *image) bundle(c *container, config oci.Container) error {
	if err := os.Mkdir(c.bundle, 0o700); err != nil {
		return err
	}
	if err := oci.Overlay(c.bundle, i.lower...); err != nil {
		return err
	}
	config.Cgroup, config.Directory = c.cgroup, i.directory
	spec, err := oci.Spec(config)
	if err != nil {
		return err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.bundle, "config.json"), b, 0o600)
}

// abandon closes a container that could not be started and words the error.
func (c *container) abandon(err error) error {
	err = fmt.Errorf("runc: %w", err)
	if cerr := c.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return err
}
