package oci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"":                        nil,
		dir:                       nil,
		".":                       fs.ErrNotExist,
		filepath.Join(dir, "not"): fs.ErrNotExist,
		file:                      unix.ENOTDIR,
	} {
		err := CheckDirectory(path)
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("CheckDirectory(%q) = %v, want %v and the path", path, err, want)
		}
	}
}

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
	if _, err := FileSystem(filepath.Join(dir, "not")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
}
