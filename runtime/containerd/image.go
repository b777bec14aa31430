package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// image is an image that containerd has imported and unpacked. Its lease keeps
// the snapshots of its containers from being collected before a container
// refers to them.
type image struct {
	link        *link
	name        string
	lease       leases.Lease
	chain       string // the snapshot below that of every container
	bytes       int64
	snapshotter snapshots.Snapshotter
	options     typeurl.Any // of a shim for runc
}

// Prepare packs the guest's root file system as an image, imports and unpacks
// it.
func (r *Runtime) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	l, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	root, err := w.Artifact(ctx, workload.RootFS)
	if err != nil {
		return nil, err
	}
	packed, err := oci.Pack(root)
	if err != nil {
		return nil, err
	}
	tar := l.dir.Path("image" + strconv.FormatInt(l.images.Add(1), 10))
	defer os.Remove(tar)
	f, err := os.OpenFile(tar, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := packed.WriteTar(f); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := l.load(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("containerd: image of %s: %w", w.Name(), l.explain(err))
	}
	img.chain, img.bytes = packed.DiffID, packed.Bytes
	return img, nil
}

// load imports an image's tar and unpacks it: import alone does not notice a
// layer that cannot be read.
func (l *link) load(ctx context.Context, tar io.Reader) (*image, error) {
	ctx = l.context(ctx)
	img := &image{link: l, snapshotter: l.client.SnapshotService(l.options.Snapshotter)}
	var err error
	if strings.Contains(l.options.Runtime, "runc") {
		img.options, err = typeurl.MarshalAny(&options.Options{BinaryName: l.runc, Root: l.dir.Path("runc")})
		if err != nil {
			return nil, err
		}
	}
	if img.lease, err = l.client.LeasesService().Create(ctx, leases.WithRandomID()); err != nil {
		return nil, err
	}
	unique := "-" + strconv.FormatInt(l.images.Add(1), 10)
	imported, err := l.client.Import(leases.WithLease(ctx, img.lease.ID), tar,
		client.WithImageRefTranslator(func(ref string) string { return ref + unique }))
	if err == nil && len(imported) != 1 {
		err = fmt.Errorf("the tar has %d images", len(imported))
	}
	if err == nil {
		img.name = imported[0].Name
		err = client.NewImage(l.client, imported[0]).Unpack(leases.WithLease(ctx, img.lease.ID), l.options.Snapshotter)
	}
	if err != nil {
		if !errdefs.IsUnavailable(err) && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", oci.ErrImage, err)
		}
		return nil, errors.Join(err, img.Close())
	}
	return img, nil
}

// Bytes is the size of the image's layer, compressed as in a registry.
func (i *image) Bytes() int64 { return i.bytes }

// Close removes the image from containerd and waits until its content and its
// snapshot are gone.
func (i *image) Close() error {
	ctx, cancel := i.cleaning()
	defer cancel()
	var errs []error
	if i.name != "" {
		errs = append(errs, ignoreNotFound(i.link.client.ImageService().Delete(ctx, i.name)))
	}
	errs = append(errs, ignoreNotFound(i.link.client.LeasesService().Delete(ctx, i.lease, leases.SynchronousDelete)))
	return i.link.explain(errors.Join(errs...))
}

// context adds to ctx the namespace and the lease, in which snapshots are made.
func (i *image) context(ctx context.Context) context.Context {
	return leases.WithLease(i.link.context(ctx), i.lease.ID)
}

// cleaning returns a context for removing things.
func (i *image) cleaning() (context.Context, context.CancelFunc) {
	return context.WithTimeout(i.link.context(context.Background()), cleanTime)
}

// Start makes a snapshot, a container and a task, and starts the task. The
// marks are Load when the snapshot is there, Create when the task is, Start
// when it has been started and Ready when the guest has greeted.
//
// What containerd has begun it is left to finish even if ctx ends, for what it
// makes meanwhile would otherwise belong to nobody.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	c := newContainer(i)
	err := c.start(ctx, mark)
	if err == nil {
		return c, nil
	}
	err = fmt.Errorf("containerd: %w", i.link.explain(err))
	if cerr := c.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	return nil, err
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
