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

// image is a root file system that containers use as the lower layer of their
// own, and the directory in which they are.
type image struct {
	runc  string
	dir   *rundir.Dir
	bytes int64
	last  atomic.Int64
}

func (i *image) lower() string { return i.dir.Path("lower") }

// Bytes is the size of the root file system's files.
func (i *image) Bytes() int64 { return i.bytes }

// Close removes the image's directory and every container left in it.
func (i *image) Close() error { return i.dir.Close() }

// Start makes a container and has runc run it. The mark Load is when its root
// file system is mounted. runc creates and starts a container in one go, so
// Start is marked when runc has ended or, if that is sooner, when the guest was
// heard; Create is never marked. Ready is the guest's greeting.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	c := &container{id: "c" + strconv.FormatInt(i.last.Add(1), 10), image: i}
	c.bundle = i.dir.Path(c.id)
	c.cgroup = i.dir.Cgroup(c.id)
	err := context.Cause(ctx)
	if err == nil {
		err = i.bundle(c)
	}
	if err == nil {
		mark(runtime.Load, time.Now())
		err = c.start(ctx, mark)
	}
	if err != nil {
		err = fmt.Errorf("runc: %w", err)
		if cerr := c.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
		return nil, err
	}
	return c, nil
}

// bundle makes what runc is given: a specification and a root file system.
func (i *image) bundle(c *container) error {
	if err := os.Mkdir(c.bundle, 0o700); err != nil {
		return err
	}
	if err := oci.Overlay(c.bundle, i.lower()); err != nil {
		return err
	}
	spec, err := oci.Spec(c.cgroup)
	if err != nil {
		return err
	}
	b, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.bundle, "config.json"), b, 0o600)
}
