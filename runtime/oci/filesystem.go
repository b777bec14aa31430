package oci

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// FileSystem returns the type of the file system that path is on, such as ext4
// or tmpfs: where it holds what containers write, that decides what a write and
// an fsync take.
func FileSystem(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &stat); err != nil {
		return "", &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(path))
	if err != nil {
		return "", err
	}
	var nearest *mountinfo.Info
	for _, m := range mounts {
		if stat.Mask&unix.STATX_MNT_ID != 0 && uint64(m.ID) == stat.Mnt_id {
			return m.FSType, nil
		}
		// Before Linux 5.8: a later mount covers an earlier one, which is wrong
		// for one above it.
		if nearest == nil || len(m.Mountpoint) >= len(nearest.Mountpoint) {
			nearest = m
		}
	}
	if nearest == nil {
		return "", fmt.Errorf("no file system is mounted that has %s", path)
	}
	return nearest.FSType, nil
}
