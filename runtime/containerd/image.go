package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// image is an image that containerd has and has unpacked. Its lease keeps the
// snapshots of its containers from being collected before a container refers to
// them.
type image struct {
	link        *link
	group       *group // nil if each container has a shim of its own
	name        string
	command     string // the guest's path in it
	lease       leases.Lease
	chain       string // the snapshot below that of every container
	digest      string // of the manifest
	bytes       int64
	snapshotter snapshots.Snapshotter
	options     typeurl.Any // of a shim for runc
	directory   string      // of the host, in every container, or ""
}

// Prepare packs the guest's root file system, or its module, as an image, stores
// it in containerd and unpacks it. What another image has too, such as the
// layer of their base, is there but once.
func (r *Runtime) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	img, err := r.prepare(ctx, w, workload.RootFS)
	if err != nil {
		return nil, err
	}
	return img, nil
}

// PrepareServer does the same for the guest's own HTTP server, and makes the bridge
// if there is to be one. The pool is for guests that have no server. It is an
// *Unavailable where the guest is a module.
func (r *Runtime) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (_ runtime.ServerImage, err error) {
	if r.modules {
		return nil, r.noServer(w)
	}
	i := &serverImage{}
	if i.image, err = r.prepare(ctx, w, workload.ServerRootFS); err != nil {
		return nil, err
	}
	if o.Bridge {
		if i.network, err = bridge.New(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", r.options.Name, err), i.image.Close())
		}
	}
	return i, nil
}

func (r *Runtime) prepare(ctx context.Context, w workload.Workload, f workload.Form) (*image, error) {
	l, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	directory, err := hostdir.Of(w)
	if err != nil {
		return nil, fmt.Errorf("%s: workload %s: %w", r.options.Name, w.Name(), err)
	}
	packed, err := r.pack(ctx, w, f, directory)
	if err != nil {
		return nil, err
	}
	img, err := l.store(ctx, packed)
	if err != nil {
		return nil, fmt.Errorf("%s: image of %s: %w", r.options.Name, w.Name(), l.explain(err))
	}
	if r.shared {
		img.group = l.group
	}
	img.directory = directory
	img.command = oci.Entrypoint
	if r.modules {
		img.command = oci.ModuleEntrypoint
	}
	return img, nil
}

// pack makes the image of w's guest in the form f, or of its module, which works
// in no directory of the host.
func (r *Runtime) pack(ctx context.Context, w workload.Workload, f workload.Form, directory string) (*oci.Image, error) {
	if r.modules {
		if directory != "" {
			return nil, r.noDirectory(w, directory)
		}
		module, err := w.Artifact(ctx, workload.Command)
		if err != nil {
			return nil, err
		}
		return oci.PackModule(ctx, module)
	}
	trees, err := oci.Trees(ctx, w, f)
	if err != nil {
		return nil, err
	}
	return oci.Pack(ctx, trees...)
}

// store gives containerd what it lacks of an image and unpacks it.
func (l *link) store(ctx context.Context, packed *oci.Image) (*image, error) {
	l.removing.RLock()
	img, err := l.tryStore(l.context(ctx), packed)
	l.removing.RUnlock()
	if err == nil {
		return img, nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	if img != nil {
		err = errors.Join(err, img.Close())
	}
	return nil, err
}

// tryStore returns the image to be closed with an error too, once there is one.
func (l *link) tryStore(ctx context.Context, packed *oci.Image) (*image, error) {
	img := &image{
		link:        l,
		chain:       packed.ChainID,
		digest:      packed.Digest,
		bytes:       packed.Bytes,
		snapshotter: l.client.SnapshotService(l.options.Snapshotter),
	}
	var err error
	if forRunc(l.options) {
		img.options, err = typeurl.MarshalAny(&options.Options{BinaryName: l.runc, Root: l.dir.Path("runc")})
		if err != nil {
			return nil, err
		}
	}
	blobs, err := packed.Blobs()
	if err != nil {
		return nil, err
	}
	if img.lease, err = l.client.LeasesService().Create(ctx, leases.WithRandomID()); err != nil {
		return nil, err
	}
	ctx = leases.WithLease(ctx, img.lease.ID)
	references := map[string]string{} // from the manifest, which comes last
	for n, b := range blobs {
		if n == len(blobs)-1 {
			err = l.put(ctx, b, content.WithLabels(references))
		} else {
			references["containerd.io/gc.ref.content."+strconv.Itoa(n)] = b.Digest.String()
			err = l.put(ctx, b)
		}
		if err != nil {
			return img, fmt.Errorf("storing %s: %w", b.Digest, err)
		}
	}
	name := packed.Ref + "-" + strconv.FormatInt(l.last.Add(1), 10)
	created, err := l.client.ImageService().Create(ctx, images.Image{Name: name, Target: blobs[len(blobs)-1].Descriptor})
	if err != nil {
		return img, err
	}
	img.name = name
	return img, client.NewImage(l.client, created).Unpack(ctx, l.options.Snapshotter)
}

// put stores a blob unless containerd has it.
func (l *link) put(ctx context.Context, b oci.Blob, opts ...content.Opt) error {
	r, err := b.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	store := l.client.ContentStore()
	// Whoever else stores the same does so under another name, and keeps it if
	// this fails.
	ref := fmt.Sprintf("wasmbench-%d-%s", l.last.Add(1), b.Digest)
	if err := content.WriteBlob(ctx, store, ref, r, b.Descriptor, opts...); err != nil {
		if errdefs.IsFailedPrecondition(err) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: %w", oci.ErrImage, err) // it is not what its digest and size say
		}
		cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTime)
		defer cancel()
		return errors.Join(err, ignoreNotFound(store.Abort(cleaning, ref)))
	}
	return nil
}

// Bytes is the size of the image's layers, compressed as in a registry.
func (i *image) Bytes() int64 { return i.bytes }

// Digest is the digest of the image's manifest, as sha256:hex. Images of the
// same digest have the same files and the same configuration.
func (i *image) Digest() string { return i.digest }

// Close removes the image from containerd and waits until its content and its
// snapshot are gone, save for what other images share.
func (i *image) Close() error {
	i.link.removing.Lock()
	defer i.link.removing.Unlock()
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
	err := c.create(ctx, oci.Container{Args: []string{i.command}}, mark)
	if err == nil {
		err = c.start(ctx, mark)
	}
	if err != nil {
		return nil, c.abandon(err)
	}
	return c, nil
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
