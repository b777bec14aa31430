package oci

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Directory returns the directory of the host that w's guest works in, or ""
// where it works in its container's own file system.
func Directory(w workload.Workload) string {
	if m, ok := w.(workload.Mounted); ok {
		return m.Mount()
	}
	return ""
}

// CheckDirectory returns an error that names dir where no container can have it
// as its directory of the host. It wraps fs.ErrNotExist where there is none by
// that name, for a relative path is none. "" is no error.
func CheckDirectory(dir string) error {
	if dir == "" {
		return nil
	}
	refuse := func(err error) error { return &fs.PathError{Op: "mount in a container", Path: dir, Err: err} }
	if !filepath.IsAbs(dir) {
		return refuse(fmt.Errorf("%w: the path is not absolute", fs.ErrNotExist))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return refuse(unix.ENOTDIR)
	}
	return nil
}

// FileSystem returns the type of the file system that path is on, such as ext4
// or tmpfs: where it holds what containers write, that decides what a write and
// an fsync take.
func FileSystem(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return "", err
	}
	var nearest *mountinfo.Info
	for _, m := range mounts {
		if nearest == nil || len(m.Mountpoint) >= len(nearest.Mountpoint) { // later mounts cover earlier ones
			nearest = m
		}
	}
	if nearest == nil {
		return "", fmt.Errorf("no file system is mounted that has %s", path)
	}
	return nearest.FSType, nil
}
