package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	lockSuffix  = ".lock"
	parentLock  = "lock"    // guards the making and the removing of runs
	missingFile = "missing" // names those of strayDirs that the first run found absent
)

// strayDirs are made outside the run's directory, whatever is configured: by
// containerd's shims and, for plugins that it does not have, by dockerd.
var strayDirs = append(slices.Clone(containerdDirs), "/run/docker/plugins", "/run/docker")

// parentDir returns the directory of all runs of this user, made if missing.
// It refuses one that somebody else could have prepared.
func parentDir() (string, error) {
	parent, err := parentPath()
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(parent, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(parent)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(stat.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a private directory of this user: remove it or set TMPDIR", parent)
	}
	return parent, nil
}

func parentPath() (string, error) {
	tmp, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		return "", fmt.Errorf("the temporary directory (set TMPDIR): %w", err)
	}
	return filepath.Join(tmp, fmt.Sprintf("wasmbench-%d", os.Geteuid())), nil
}

// lockParent waits for the lock on the directory of all runs, which is only
// ever held for a moment.
func lockParent(parent string) (unlock func(), err error) {
	path := filepath.Join(parent, parentLock)
	for {
		f, err := openLock(path)
		if errors.Is(err, fs.ErrNotExist) { // the last run has just removed the directory
			if err = os.Mkdir(parent, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if err = waitLock(f); err == nil && current(f, path) {
			return func() { f.Close() }, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

func waitLock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// current reports whether path still names the file f.
func current(f *os.File, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(held, named)
}

// errLive is the error of tryFlock where another process holds the lock.
var errLive = errors.New("the run's owner lives")

// tryLock takes the lock of a run if its owner is dead or if it is new.
func tryLock(path string) (*os.File, error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	if err := tryFlock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// tryFlock takes the lock on f, or returns errLive.
func tryFlock(f *os.File) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		return nil
	case unix.EWOULDBLOCK:
		return errLive
	default:
		return &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}

func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
}

// runs lists the runs below parent, live and dead.
func runs(parent string) ([]string, error) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), lockSuffix); ok && id != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// noteMissing writes down, once for all runs that overlap, which of
// strayDirs are absent. The caller holds the parent's lock.
func noteMissing(parent string) error {
	note := filepath.Join(parent, missingFile)
	if _, err := os.Lstat(note); err == nil {
		return nil
	}
	var missing []string
	for _, dir := range strayDirs {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, dir)
		}
	}
	return os.WriteFile(note, []byte(strings.Join(missing, "\n")), 0o600)
}

// removeShared removes, once the last run is gone, what runs share. The caller
// holds the parent's lock.
func removeShared(parent string) error {
	left, err := runs(parent)
	if err != nil || len(left) > 0 {
		return err
	}
	note := filepath.Join(parent, missingFile)
	missing, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := range strings.Lines(string(missing)) {
		unix.Rmdir(strings.TrimSpace(dir)) // fails where something of somebody else is in it
	}
	if err := os.RemoveAll(note); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(parent, parentLock)); err != nil {
		return err
	}
	unix.Rmdir(parent) // fails where something was put there that is not ours
	return nil
}
