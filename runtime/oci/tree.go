package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// epoch is the time of every file in the uppermost layer, so that equal guests
// make equal images.
var epoch = time.Unix(0, 0).UTC()

// inode tells files apart that have several names.
type inode struct{ dev, ino uint64 }

// A treeWriter writes a tree as a tar.
type treeWriter struct {
	*tar.Writer
	timed  bool             // whether files keep their times
	linked map[inode]string // the first name of files with several
	files  int64            // bytes of files so far
}

// writeTree writes the tree below root as a tar: sorted by name, with its modes,
// owners and hard links, with its times in whole seconds if timed is set and at
// one time otherwise, but without extended attributes. Only directories,
// regular files and links can be in it. It returns the bytes of the files.
func writeTree(ctx context.Context, w io.Writer, root string, timed bool) (int64, error) {
	t := &treeWriter{Writer: tar.NewWriter(w), timed: timed, linked: map[inode]string{}}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return t.entry(filepath.ToSlash(name), path, e)
	})
	if err != nil {
		return 0, err
	}
	return t.files, t.Close()
}

func (t *treeWriter) entry(name, path string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the owners of files are not to be had here")
	}
	h := &tar.Header{
		Name:    name,
		Mode:    int64(info.Mode().Perm()) | special(info.Mode()),
		Uid:     int(stat.Uid),
		Gid:     int(stat.Gid),
		ModTime: epoch,
		Format:  tar.FormatPAX,
	}
	if t.timed {
		h.ModTime = info.ModTime().Truncate(time.Second)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		return t.WriteHeader(h)
	case fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
		return t.WriteHeader(h)
	case 0:
	default:
		return fmt.Errorf("%s is a %v, which an image cannot have", path, info.Mode().Type())
	}
	if stat.Nlink > 1 {
		file := inode{uint64(stat.Dev), stat.Ino}
		if first, ok := t.linked[file]; ok {
			h.Typeflag, h.Linkname = tar.TypeLink, first
			return t.WriteHeader(h)
		}
		t.linked[file] = name
	}
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(t, f)
	t.files += n
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
