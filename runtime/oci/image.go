// Package oci builds container images without a registry and says what the
// containers of every container runtime have in common, so that a comparison of
// runtimes compares nothing else.
package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Entrypoint is the guest's path in every image, save for those of modules.
const Entrypoint = "/guest"

// An Image has a layer for each directory that it was made of and runs its
// entry point. Equal trees make equal images; in all layers but the uppermost,
// which is the guest's own, that includes the times of files, for an interpreter
// may go by them. All digests are as sha256:hex.
type Image struct {
	// Ref names the image by its content, such as
	// wasmbench.invalid/guest:0123456789ab.
	Ref string
	// Digest is that of the manifest: the image as a registry or containerd
	// has it. It identifies what was run.
	Digest string
	// ConfigDigest is that of the configuration, which the manifest names and
	// which Docker calls the image's ID.
	ConfigDigest string
	// ChainID identifies all layers on top of each other, uncompressed.
	ChainID string
	// Bytes is the size of the layers, compressed as in a registry.
	Bytes int64

	img v1.Image
	tag name.Tag
}

// Pack makes an image of the trees below the directories, each on top of those
// before it. They must not change while the image is in use.
//
// The compressed layer of a directory in wasmbench's own cache is kept there,
// for what is in the cache does not change.
func Pack(ctx context.Context, layers ...string) (*Image, error) {
	return pack(ctx, Entrypoint, layers)
}

func pack(ctx context.Context, entrypoint string, roots []string) (*Image, error) {
	layers, err := packAll(ctx, roots, packLayer)
	if err != nil {
		return nil, err
	}
	img, err := assemble(entrypoint, layers)
	if err != nil {
		return nil, err
	}
	manifest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	id, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	tag, err := name.NewTag("wasmbench.invalid/guest:" + manifest.Hex[:12])
	if err != nil {
		return nil, err
	}
	packed := &Image{Ref: tag.Name(), Digest: manifest.String(), ConfigDigest: id.String(), img: img, tag: tag}
	var chain []digest.Digest
	for _, l := range layers {
		chain = append(chain, digest.Digest(l.meta.DiffID.String()))
		packed.Bytes += l.meta.Size
	}
	packed.ChainID = identity.ChainID(chain).String()
	return packed, nil
}

// packAll makes a layer of each of the trees by pack, which is told whether the files
// keep their times.
func packAll(ctx context.Context, roots []string, pack func(ctx context.Context, root string, timed bool) (*layer, error)) ([]*layer, error) {
	var layers []*layer
	for n, root := range roots {
		l, err := pack(ctx, root, n < len(roots)-1)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", root, err)
		}
		layers = append(layers, l)
	}
	return layers, nil
}

// assemble makes the configuration and the manifest of an image of the layers.
func assemble(entrypoint string, layers []*layer) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	config := &v1.ConfigFile{
		Architecture: goruntime.GOARCH,
		OS:           "linux",
		Created:      v1.Time{Time: epoch},
		RootFS:       v1.RootFS{Type: "layers"},
		Config:       v1.Config{Entrypoint: []string{entrypoint}, WorkingDir: "/", Env: []string{pathEnv}},
	}
	for _, l := range layers {
		whole, err := partial.CompressedToLayer(l)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, whole); err != nil {
			return nil, err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.meta.DiffID)
	}
	return mutate.ConfigFile(img, config)
}

// WriteTar writes the image as a tar that docker load takes. It has the layers
// and the configuration, but not the manifest.
func (i *Image) WriteTar(w io.Writer) error { return tarball.Write(i.tag, i.img, w) }

// A Blob is a part of an image as a registry keeps it.
type Blob struct {
	ocispec.Descriptor
	Open func() (io.ReadCloser, error)
}

// Blobs returns the image's parts, the manifest last, so that none refers to a
// later one.
func (i *Image) Blobs() ([]Blob, error) {
	layers, err := i.img.Layers()
	if err != nil {
		return nil, err
	}
	var blobs []Blob
	for _, l := range layers {
		d, err := partial.Descriptor(l)
		if err != nil {
			return nil, err
		}
		blobs = append(blobs, Blob{Descriptor: describe(d), Open: l.Compressed})
	}
	m, err := i.img.Manifest()
	if err != nil {
		return nil, err
	}
	config, configErr := i.img.RawConfigFile()
	manifest, manifestErr := i.img.RawManifest()
	if err := errors.Join(configErr, manifestErr); err != nil {
		return nil, err
	}
	return append(blobs,
		Blob{Descriptor: describe(&m.Config), Open: opener(config)},
		Blob{
			Descriptor: ocispec.Descriptor{MediaType: string(m.MediaType), Digest: digest.Digest(i.Digest), Size: int64(len(manifest))},
			Open:       opener(manifest),
		}), nil
}

func describe(d *v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}

func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}
