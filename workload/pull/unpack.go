package pull

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// unpack writes the files of a tar below dir, most bytes at the most. Nothing is
// written outside dir, whatever names and links say: an entry that would is an
// error. Devices and pipes are left out, for containers bring their own.
func unpack(r io.Reader, dir string, most int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			// What is wrong with a layer may be told only after the tar.
			_, err := io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		if most -= max(h.Size, 0); most < 0 {
			return errors.New("it is larger than a base may be")
		}
		if err := unpackEntry(root, h, tr); err != nil {
			return fmt.Errorf("unpacking %q: %w", h.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, content io.Reader) error {
	name := strings.TrimPrefix(path.Clean(h.Name), "/")
	if name == "." || name == "" {
		return nil
	}
	// Of some directories a layer tells nothing.
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return unpackDir(root, name, h)
	case tar.TypeReg:
		return unpackFile(root, name, h, content)
	case tar.TypeSymlink:
		if err := root.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return root.Lchown(name, h.Uid, h.Gid)
	case tar.TypeLink:
		return root.Link(strings.TrimPrefix(path.Clean(h.Linkname), "/"), name)
	}
	return nil
}

func unpackDir(root *os.Root, name string, h *tar.Header) error {
	if err := root.Mkdir(name, 0o755); errors.Is(err, fs.ErrExist) {
		if info, err := root.Lstat(name); err != nil || !info.IsDir() {
			return errors.Join(fs.ErrExist, err)
		}
	} else if err != nil {
		return err
	}
	if err := root.Lchown(name, h.Uid, h.Gid); err != nil {
		return err
	}
	return root.Chmod(name, permissions(h))
}

func unpackFile(root *os.Root, name string, h *tar.Header, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	// The order matters: a change of the owner takes the set-id bits away.
	if err := errors.Join(err, f.Chown(h.Uid, h.Gid), f.Chmod(permissions(h)), f.Close()); err != nil {
		return err
	}
	// What is compiled ahead may tell by the time whether its source is newer.
	return root.Chtimes(name, time.Time{}, h.ModTime)
}

// permissions are the mode of an entry without its type.
func permissions(h *tar.Header) fs.FileMode {
	return h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}
