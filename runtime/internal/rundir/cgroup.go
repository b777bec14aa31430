package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// cgroupParent holds the cgroups of all runs, save for those of tests that other
// runs would meddle with.
var cgroupParent = "/wasmbench"

func cgroupOf(id string) string { return cgroupParent + "/" + id }

// hierarchies returns where cgroup hierarchies were mounted, of both versions,
// when it was first called.
var hierarchies = sync.OnceValues(func() ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if !slices.Contains(roots, m.Mountpoint) {
			roots = append(roots, m.Mountpoint)
		}
	}
	return roots, nil
})

// RemoveCgroup kills what is left in the cgroup of one container and removes
// it from every hierarchy.
func RemoveCgroup(ctx context.Context, path string) error {
	if filepath.Clean(path) != path || !strings.HasPrefix(path, cgroupParent+"/") {
		return fmt.Errorf("cgroup %s is not below %s", path, cgroupParent)
	}
	if _, err := killCgroup(path); err != nil {
		return err
	}
	return removeCgroups(ctx, path)
}

// killCgroup kills the processes below a cgroup in any hierarchy and returns
// how many there were.
func killCgroup(path string) (int, error) {
	roots, err := hierarchies()
	if err != nil {
		return 0, err
	}
	dirs := make([]string, len(roots))
	for n, root := range roots {
		dirs[n] = filepath.Join(root, path)
	}
	return killIn(dirs, path)
}

// killIn does so in some hierarchies, where the cgroup's directories are dirs.
func killIn(dirs []string, path string) (int, error) {
	var pids []int
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			switch e.Name() {
			case "cgroup.procs":
				found, err := readPIDs(p)
				pids = append(pids, found...)
				return err
			case "freezer.state":
				// Nothing frozen by version 1 ends before it is thawed.
				return ignoreGone(os.WriteFile(p, []byte("THAWED"), 0))
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	slices.Sort(pids)
	k := endAll(slices.Compact(pids), func(pid int) bool { return InCgroup(pid, path) })
	return k.n, k.err
}

// InCgroup reports whether a process is in the cgroup, or in one below it, of
// any hierarchy.
func InCgroup(pid int, path string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(strings.TrimSpace(line)+"/", path+"/") {
			return true
		}
	}
	return false
}

func readPIDs(procs string) ([]int, error) {
	b, err := os.ReadFile(procs)
	if err != nil {
		return nil, ignoreGone(err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", procs, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// ignoreGone makes nil of an error about a cgroup that has been removed.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// removeCgroups removes the cgroup and those below it from every hierarchy, and
// the parent of all runs where this was the last.
func removeCgroups(ctx context.Context, path string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, root := range roots {
		errs = append(errs, removeTree(ctx, filepath.Join(root, path)))
		unix.Rmdir(filepath.Join(root, cgroupParent))
	}
	return errors.Join(errs...)
}

func removeTree(ctx context.Context, dir string) error {
	err := removeEmpty(ctx, dir)
	if err == nil {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if readErr != nil {
		return errors.Join(err, ignoreGone(readErr))
	}
	children := 0
	for _, e := range entries {
		if e.IsDir() {
			children++
			if err := removeTree(ctx, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if children == 0 {
		return err
	}
	return removeEmpty(ctx, dir)
}

// removeEmpty removes a cgroup without children. The kernel calls it busy for a
// moment after its last process has ended, and tells nobody when it no longer
// is.
func removeEmpty(ctx context.Context, dir string) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || wait > time.Second || hasChildren(dir) {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

func hasChildren(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, fs.DirEntry.IsDir)
}
