// Package oci builds container images without a registry and says what the
// containers of every container runtime have in common, so that a comparison of
// runtimes compares nothing else.
package oci

import (
	"fmt"
	"io"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Entrypoint is the guest's path in every image.
const Entrypoint = "/guest"

// An Image has one layer, the tree of a workload.RootFS artefact, and runs
// Entrypoint. Equal trees make equal images.
type Image struct {
	// Ref names the image by its content, such as
	// wasmbench.invalid/guest:0123456789ab.
	Ref string
	// DiffID is the digest of the layer's tar, as sha256:hex. It is also the
	// chain ID of the image.
	DiffID string
	// Bytes is the size of the layer, compressed as in a registry.
	Bytes int64

	img v1.Image
	tag name.Tag
}

// Pack makes an image of the tree below root, which must not change while the
// image is in use.
func Pack(root string) (*Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeLayer(w, root)) }()
		return r, nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", root, err)
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layer)
	if err != nil {
		return nil, err
	}
	diff, err := layer.DiffID()
	if err != nil {
		return nil, err
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: goruntime.GOARCH,
		OS:           "linux",
		Created:      v1.Time{Time: epoch},
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}},
		Config:       v1.Config{Entrypoint: []string{Entrypoint}, WorkingDir: "/", Env: []string{pathEnv}},
	})
	if err != nil {
		return nil, err
	}
	size, err := layer.Size()
	if err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	tag, err := name.NewTag("wasmbench.invalid/guest:" + digest.Hex[:12])
	if err != nil {
		return nil, err
	}
	return &Image{Ref: tag.Name(), DiffID: diff.String(), Bytes: size, img: img, tag: tag}, nil
}

// WriteTar writes the image as a tar that containerd's Import and docker load
// take.
func (i *Image) WriteTar(w io.Writer) error { return tarball.Write(i.tag, i.img, w) }
