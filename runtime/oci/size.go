package oci

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// Sizes are what an image takes, in bytes.
type Sizes struct {
	// Unpacked is that of the regular files of all layers: of each file once,
	// however many names it has in a layer.
	Unpacked int64
	// Compressed is what a registry keeps and a pull transfers: the layers by gzip at
	// its default level, the configuration and the manifest.
	Compressed int64
}

// Measure returns the sizes of the image that Pack makes of the same trees, which are
// the same whenever the image is. Image.Bytes is another: containers are made of
// layers that are compressed in less time, and it is of the layers alone.
//
// To compress a distribution takes ten seconds or more. What it came to is kept for a
// directory in wasmbench's own cache.
func Measure(ctx context.Context, layers ...string) (Sizes, error) {
	all, err := packAll(ctx, layers, measureLayer)
	if err != nil {
		return Sizes{}, err
	}
	img, err := assemble(Entrypoint, all)
	if err != nil {
		return Sizes{}, err
	}
	config, configErr := img.RawConfigFile()
	manifest, manifestErr := img.RawManifest()
	if err := errors.Join(configErr, manifestErr); err != nil {
		return Sizes{}, err
	}
	sizes := Sizes{Compressed: int64(len(config) + len(manifest))}
	for _, l := range all {
		sizes.Unpacked += l.meta.Files
		sizes.Compressed += l.meta.Size
	}
	return sizes, nil
}

// errMeasured is of a layer whose sizes alone are known.
var errMeasured = errors.New("the layer was measured and not kept")

// measureLayer is packLayer at gzip's default level, of which nothing but the sizes is
// kept.
func measureLayer(ctx context.Context, root string, timed bool) (*layer, error) {
	l := &layer{open: func() (io.ReadCloser, error) { return nil, errMeasured }}
	measure := func() (layerMeta, error) {
		return writeLayer(ctx, io.Discard, root, timed, gzip.DefaultCompression)
	}
	key, err := cacheKey(root, timed)
	if err != nil {
		return nil, err
	}
	if key == "" {
		l.meta, err = measure()
		return l, err
	}
	// What is compressed is as long as the compressor makes it, which is Go's own.
	key = cache.Key(key, goruntime.Version(), strconv.Itoa(gzip.DefaultCompression))
	entry, err := cache.Make(ctx, "measured", key, func(dir string) error {
		meta, err := measure()
		if err != nil {
			return err
		}
		return meta.write(dir)
	})
	if err != nil {
		return nil, err
	}
	l.meta, err = readMeta(entry)
	return l, err
}

// MeasureFiles returns the sizes of files that are no container's, such as a module:
// each compressed by itself, by gzip at its default level.
func MeasureFiles(ctx context.Context, files ...string) (Sizes, error) {
	var sum Sizes
	for _, file := range files {
		if err := sum.add(ctx, file); err != nil {
			return Sizes{}, err
		}
	}
	return sum, nil
}

func (s *Sizes) add(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(counter{io.Discard, &s.Compressed})
	n, err := io.Copy(z, reader{ctx, f})
	s.Unpacked += n
	return errors.Join(err, z.Close())
}

// A reader ends with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
