package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// claims are the locks on a run's cgroup, one for every hierarchy that has it.
// They end with whoever holds them, as a run's other lock does, but are found
// without os.TempDir.
type claims []*os.File

func (c claims) close() {
	for _, f := range c {
		f.Close()
	}
}

// has reports whether f is among them: a hierarchy may be mounted at two places.
func (c claims) has(f *os.File) bool {
	return slices.ContainsFunc(c, func(held *os.File) bool { return current(held, f.Name()) })
}

// makeCgroups makes and locks the cgroup of a run in every hierarchy that lets
// it, so that the parent is not removed by another run between two steps of
// whoever makes a container's cgroup. Where none can be made, making a container
// says why.
func makeCgroups(path string) (claims, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var made claims
	for _, root := range roots {
		f, err := made.make(filepath.Join(root, path))
		if err != nil {
			made.close()
			return nil, err
		}
		if f != nil {
			made = append(made, f)
		}
	}
	return made, nil
}

// make makes a cgroup and locks it. It returns nil where it cannot be made or is
// locked already.
func (c claims) make(dir string) (*os.File, error) {
	for range 10 {
		os.Mkdir(filepath.Dir(dir), 0o755)
		// Who cannot open it cannot lock it.
		if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrNotExist) {
			continue // a run that ended has just removed the parent
		} else if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, nil
		}
		f, err := openCgroup(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken for an orphan before it was locked
		}
		if err != nil {
			return nil, err
		}
		if c.has(f) {
			return nil, f.Close()
		}
		if err := waitLock(f); err != nil {
			f.Close()
			return nil, err
		}
		if current(f, dir) {
			return f, nil
		}
		f.Close()
	}
	return nil, nil
}

func openCgroup(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// runID matches what Make calls runs.
var runID = regexp.MustCompile(`^[0-9a-f]{10}$`)

// sweepOrphans clears the cgroups and the network devices of dead runs that no
// directory below os.TempDir tells of: theirs was elsewhere, or is gone, and with
// it the note of a device.
func sweepOrphans(ctx context.Context) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	parent, err := parentPath()
	if err != nil {
		return err
	}
	known, err := runs(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var orphans []string
	for _, root := range roots {
		entries, err := os.ReadDir(filepath.Join(root, cgroupParent))
		if err != nil {
			continue // no run has a cgroup there
		}
		for _, e := range entries {
			if id := e.Name(); runID.MatchString(id) && !slices.Contains(known, id) && !slices.Contains(orphans, id) {
				orphans = append(orphans, id)
			}
		}
	}
	var errs []error
	for _, id := range orphans {
		errs = append(errs, sweepOrphan(ctx, roots, cgroupOf(id)))
	}
	return errors.Join(errs...)
}

// sweepOrphan kills what is in a cgroup and removes it, unless its run lives or
// is another user's. A run that was about to lock it finds that it must make it
// again.
func sweepOrphan(ctx context.Context, roots []string, path string) error {
	held, err := claim(roots, path)
	defer held.close()
	if err == errLive {
		return nil
	}
	if err != nil {
		return err
	}
	var dirs []string
	for _, f := range held {
		dirs = append(dirs, f.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, clearTime)
	defer cancel()
	for {
		n, err := killIn(dirs, path)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("clearing the cgroup %s of a dead run: %w", path, err)
		}
		if n == 0 {
			break
		}
	}
	errs := []error{removeLink(filepath.Base(path))}
	for _, dir := range dirs {
		errs = append(errs, removeTree(ctx, dir))
		unix.Rmdir(filepath.Dir(dir))
	}
	return errors.Join(errs...)
}

// claim locks a cgroup in every hierarchy that has it. The error is errLive where
// somebody else has it locked in any, or where it is another user's.
func claim(roots []string, path string) (held claims, err error) {
	for _, root := range roots {
		f, err := openCgroup(filepath.Join(root, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			return held, errLive
		}
		if err != nil {
			return held, err
		}
		if held.has(f) {
			f.Close()
			continue
		}
		held = append(held, f)
		info, err := f.Stat()
		if err != nil {
			return held, err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
			return held, errLive
		}
		if err := tryFlock(f); err != nil {
			return held, err
		}
		if !current(f, f.Name()) {
			return held, errLive // somebody else has just removed it
		}
	}
	return held, nil
}
