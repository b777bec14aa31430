package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The file system is that of the latest mount that has the path, under any name.
func TestFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	dir, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	for _, fstype := range []string{"tmpfs", "ramfs"} {
		if err := unix.Mount("none", dir, fstype, 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(dir, 0) })
		if err := os.MkdirAll(filepath.Join(dir, "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		os.Symlink(dir, link)
		for _, path := range []string{dir, filepath.Join(link, "below")} {
			if got, err := FileSystem(path); got != fstype || err != nil {
				t.Errorf("FileSystem(%s) = %q, %v, want %s", path, got, err, fstype)
			}
		}
	}
	// What lies below a mount that was there before is hidden, as near as it is.
	below := filepath.Join(dir, "below")
	if err := errors.Join(unix.Mount("none", below, "tmpfs", 0, ""), unix.Mount("none", dir, "ramfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0); unix.Unmount(below, 0) })
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := FileSystem(below); got != "ramfs" || err != nil {
		t.Errorf("FileSystem(%s) = %q, %v, want ramfs, which covers it", below, got, err)
	}
	if _, err := FileSystem(filepath.Join(dir, "not")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
}
