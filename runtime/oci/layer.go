package oci

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// epoch is the time of every file in a layer, so that equal trees make equal
// layers.
var epoch = time.Unix(0, 0).UTC()

// writeLayer writes the tree below root as a layer: sorted by name, owned by
// root, at one time, with its modes. Only directories, regular files and
// symbolic links can be in it.
func writeLayer(w io.Writer, root string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return writeEntry(tw, name, path, e)
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

func writeEntry(tw *tar.Writer, name, path string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{
		Name:    filepath.ToSlash(name),
		Mode:    int64(info.Mode().Perm()) | special(info.Mode()),
		ModTime: epoch,
		Format:  tar.FormatPAX,
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		return tw.WriteHeader(h)
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
		return tw.WriteHeader(h)
	case 0:
		h.Typeflag = tar.TypeReg
		h.Size = info.Size()
	default:
		return fmt.Errorf("%s is a %v, which an image cannot have", path, info.Mode().Type())
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(tw, f)
	return err
}

// special returns the bits of a tar mode beside the permissions.
func special(m fs.FileMode) (bits int64) {
	for bit, mode := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if m&mode != 0 {
			bits |= bit
		}
	}
	return bits
}
