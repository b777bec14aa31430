// Package scratch makes directories for files that are measured. Each is held by
// a lock for as long as its process lives, so that those of a run that was
// killed are told from those in use, and are removed by the next.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Dir is a directory of this process's own.
type Dir struct {
	path string
	lock *os.File // the directory itself
}

// prefix begins the names of the directories, so that nothing else is taken for
// one.
func prefix() string { return "wasmbench-files-" + strconv.Itoa(os.Geteuid()) + "-" }

// New makes a directory below parent, which exists, and removes those that ended
// processes of this user have left there. One that cannot be removed, such as one
// with a file system mounted in it, stays and is no error: it is in nobody's way, and
// the next New tries again.
func New(parent string) (*Dir, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, err
	}
	clear(parent)
	for {
		path, err := os.MkdirTemp(parent, prefix())
		if err != nil {
			return nil, fmt.Errorf("making a directory for files: %w", err)
		}
		lock, err := take(path)
		if err == nil && held(path, lock) {
			return &Dir{path: path, lock: lock}, nil
		}
		if err == nil {
			lock.Close()
		} else if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), os.RemoveAll(path))
		}
		// Another process, which clears, came between.
	}
}

// held tells whether the directory that was locked is still the one at path.
func held(path string, lock *os.File) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(locked, there)
}

// Path returns where the directory is, absolute.
func (d *Dir) Path() string { return d.path }

// Close removes the directory with all that is in it.
func (d *Dir) Close() error { return errors.Join(os.RemoveAll(d.path), d.lock.Close()) }

// take opens and locks a directory, if nobody else has; a link to one it does not
// follow. The lock ends with the process.
func take(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// clear removes the directories of this user that nobody holds, as far as it can.
func clear(parent string) {
	entries, _ := os.ReadDir(parent) // of what it could not read there is nothing to remove
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix()) {
			continue
		}
		path := filepath.Join(parent, e.Name())
		lock, err := take(path)
		if err != nil {
			continue
		}
		if own(lock) && held(path, lock) {
			os.RemoveAll(path)
		}
		lock.Close()
	}
}

// own tells whether the directory is one that this user has made: a name proves
// nothing where others can write too.
func own(dir *os.File) bool {
	var s unix.Stat_t
	return unix.Fstat(int(dir.Fd()), &s) == nil && s.Uid == uint32(os.Geteuid())
}
