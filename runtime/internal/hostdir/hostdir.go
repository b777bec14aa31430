// Package hostdir is about the directory of the host that a workload's guest may
// work in.
package hostdir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Of returns the directory of w's guest, or "" where it has none. A path that is
// not absolute is an error that wraps fs.ErrNotExist: from where the guest stands
// there is no such directory.
func Of(w workload.Workload) (string, error) {
	m, ok := w.(workload.Mounted)
	if !ok || m.Mount() == "" {
		return "", nil
	}
	dir := m.Mount()
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("the guest's directory %q: %w: the path is not absolute", dir, fs.ErrNotExist)
	}
	return dir, nil
}

// Check returns an error that names dir where it is no directory. It wraps
// fs.ErrNotExist where nothing is there. "" is no error.
func Check(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "stat", Path: dir, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return fmt.Errorf("the guest's directory: %w", err)
	}
	return nil
}
