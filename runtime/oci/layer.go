package oci

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// A layer is a tree as a compressed tar. It is a partial.CompressedLayer.
type layer struct {
	meta layerMeta
	open func() (io.ReadCloser, error)
}

// layerMeta is what is known of a layer without reading it.
type layerMeta struct {
	Digest v1.Hash // of the compressed tar
	DiffID v1.Hash // of the tar
	Size   int64   // of the compressed tar
	Files  int64   // of the regular files in it, in bytes
}

func (l *layer) Digest() (v1.Hash, error)            { return l.meta.Digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.meta.DiffID, nil }
func (l *layer) Size() (int64, error)                { return l.meta.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)  { return l.open() }

const (
	layerFile = "layer.tar.gz"
	metaFile  = "layer.json"
	// packing changes whenever the bytes of a layer would.
	packing = "2"
)

// packLayer packs the tree below root: into the cache where root is in the
// cache too, and else anew each time that the layer is read. Its files keep
// their times if timed is set.
func packLayer(ctx context.Context, root string, timed bool) (*layer, error) {
	key, err := cacheKey(root, timed)
	if err != nil {
		return nil, err
	}
	if key == "" {
		meta, err := writeLayer(ctx, io.Discard, root, timed, quick)
		return &layer{meta, func() (io.ReadCloser, error) { return pipe(root, timed), nil }}, err
	}
	entry, err := cache.Make(ctx, "layer", key, func(dir string) error { return fill(ctx, dir, root, timed) })
	if err != nil {
		return nil, err
	}
	meta, err := readMeta(entry)
	return &layer{meta, func() (io.ReadCloser, error) { return os.Open(filepath.Join(entry, layerFile)) }}, err
}

// readMeta reads what write has written into an entry of the cache.
func readMeta(entry string) (meta layerMeta, err error) {
	b, err := os.ReadFile(filepath.Join(entry, metaFile))
	if err == nil {
		err = json.Unmarshal(b, &meta)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w (remove %s to have it made again)", ErrImage, err, entry)
	}
	return meta, err
}

func (m layerMeta) write(dir string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, metaFile), b, 0o644)
}

// cacheKey identifies the layer of the tree below root where it is part of the cache, whose
// entries never change but may be removed and made again. It is "" for other
// trees.
func cacheKey(root string, timed bool) (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	rel, err := filepath.Rel(dir, root)
	if err != nil || !filepath.IsLocal(rel) {
		return "", nil
	}
	info, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	tree := cache.Key(packing, rel, fmt.Sprint(stat.Ino, stat.Ctim))
	return cache.Key(tree, strconv.FormatBool(timed)), nil
}

// fill makes the cache's entry for the layer of root.
func fill(ctx context.Context, dir, root string, timed bool) error {
	f, err := os.Create(filepath.Join(dir, layerFile))
	if err != nil {
		return err
	}
	meta, err := writeLayer(ctx, f, root, timed, quick)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return meta.write(dir)
}

// pipe returns the compressed layer of root while it is made. Closing it ends
// the making.
func pipe(root string, timed bool) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		_, err := writeLayer(context.Background(), w, root, timed, quick)
		w.CloseWithError(err)
	}()
	return r
}

// quick is the level at which layers are compressed that containers are made of: what
// takes time is packing a base of a hundred megabytes.
const quick = gzip.BestSpeed

// writeLayer writes the layer of root to w, compressed at a level of package gzip.
func writeLayer(ctx context.Context, w io.Writer, root string, timed bool, level int) (meta layerMeta, err error) {
	tarSum, sum := sha256.New(), sha256.New()
	size := counter{io.MultiWriter(w, sum), &meta.Size}
	z, err := gzip.NewWriterLevel(size, level)
	if err != nil {
		return meta, err
	}
	if meta.Files, err = writeTree(ctx, io.MultiWriter(z, tarSum), root, timed); err != nil {
		return meta, err
	}
	if err := z.Close(); err != nil {
		return meta, err
	}
	meta.Digest, meta.DiffID = digestOf(sum), digestOf(tarSum)
	return meta, nil
}

func digestOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// A counter counts what is written through it.
type counter struct {
	io.Writer
	n *int64
}

func (c counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	*c.n += int64(n)
	return n, err
}
