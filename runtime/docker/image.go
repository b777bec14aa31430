package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// image is an image that the daemon has loaded.
type image struct {
	link   *link
	name   string // of this run alone
	packed *oci.Image

	directory string      // of the host, in every container, or ""
	seen      atomic.Bool // a container had that very directory
}

// Prepare packs the guest's root file system as an image and loads it.
func (r *Runtime) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	i, err := r.prepare(ctx, w, workload.RootFS)
	if err != nil {
		return nil, err
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
		return nil, fmt.Errorf("docker: workload %s: %w", w.Name(), err)
	}
	trees, err := oci.Trees(ctx, w, f)
	if err != nil {
		return nil, err
	}
	packed, err := oci.Pack(ctx, trees...)
	if err != nil {
		return nil, err
	}
	i := &image{
		link:   l,
		name:   packed.Ref + nameSuffix(l.dir.ID()) + strconv.FormatInt(l.images.Add(1), 10),
		packed: packed,

		directory: directory,
	}
	if err := i.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("docker: image of %s: %w", w.Name(), l.explain(err)), i.Close())
	}
	return i, nil
}

// nameSuffix follows an image's name in a run, so that a run has names of its
// own for what other runs may have loaded too.
func nameSuffix(id string) string { return "-" + id + "-" }

// loads is how often loading is tried. Another run may remove an equal image
// between its loading and its naming here.
const loads = 5

func (i *image) load(ctx context.Context) (err error) {
	for range loads {
		if err = i.loadTar(ctx, i.packed.WriteTar); err != nil {
			return err
		}
		_, err = i.link.client.ImageTag(ctx, client.ImageTagOptions{Source: i.packed.Ref, Target: i.name})
		if !errdefs.IsNotFound(err) {
			break
		}
	}
	if err == nil {
		err = i.verify(ctx)
	}
	if uerr := untag(ctx, i.link.client, i.packed.Ref); err == nil {
		err = uerr
	}
	return err
}

// loadTar gives the daemon the tar that write writes.
func (i *image) loadTar(ctx context.Context, write func(io.Writer) error) error {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(write(w))
	}()
	defer func() {
		r.Close()
		<-written // what is packed may be removed afterwards
	}()
	answer, err := i.link.client.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return refused(ctx, err)
	}
	defer answer.Close()
	for d := json.NewDecoder(answer); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return refused(ctx, err)
		case message.Error != "":
			return refused(ctx, errors.New(message.Error))
		}
	}
}

// refusals are what a daemon says of an image that it cannot read, for which its
// API has no code.
var refusals = []string{"tar header", "unexpected EOF", "gzip", "manifest", "invalid diffID", "layers from manifest don't match"}

// refused tells an image that the daemon does not take from a daemon that does
// not answer or has met trouble of its own, such as a full disk.
func refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	says := func(sign string) bool { return strings.Contains(err.Error(), sign) }
	if !broken(err) && (errdefs.IsInvalidArgument(err) || slices.ContainsFunc(refusals, says)) {
		return fmt.Errorf("%w: %w", oci.ErrImage, err)
	}
	return err
}

// verify checks that what the daemon has is what was packed. Its identifier is
// the digest of the configuration; where containerd keeps Docker's images it is
// that of a manifest which the daemon made, and the layers must tell.
func (i *image) verify(ctx context.Context) error {
	has, err := i.link.client.ImageInspect(ctx, i.name)
	if err != nil {
		return err
	}
	if has.ID == i.packed.ConfigDigest || has.ID == i.packed.Digest {
		return nil
	}
	var chain []digest.Digest
	for _, layer := range has.RootFS.Layers {
		chain = append(chain, digest.Digest(layer))
	}
	if identity.ChainID(chain).String() == i.packed.ChainID {
		return nil
	}
	return fmt.Errorf("%w: Docker has made %s of the image with the configuration %s", oci.ErrImage, has.ID, i.packed.ConfigDigest)
}

// untag takes a name from an image, which ends with its last name.
func untag(ctx context.Context, c *client.Client, name string) error {
	_, err := c.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
	return ignoreNotFound(err)
}

// Bytes is the size of the image's layers, compressed as in a registry.
func (i *image) Bytes() int64 { return i.packed.Bytes }

// Digest returns the digest of the image's manifest as it was packed, of which
// the daemon is known to have the configuration or the layers.
func (i *image) Digest() string { return i.packed.Digest }

// Close removes the image from the daemon.
func (i *image) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	if err := untag(ctx, i.link.client, i.name); err != nil {
		return fmt.Errorf("docker: removing image %s: %w", i.name, i.link.explain(err))
	}
	return nil
}

func ignoreNotFound(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
