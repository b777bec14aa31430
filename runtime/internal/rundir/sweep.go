package rundir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// ErrLater is what a function given to Sweep returns to leave a run for another
// Sweep.
var ErrLater = errors.New("left for a later sweep")

// ForeignTime bounds the removal of what one run has in a daemon of the host,
// which may be hundreds of containers.
const ForeignTime = time.Minute

// Sweep clears what runs left whose owners are dead, and the cgroups and network
// devices of those that had their directories elsewhere. Objects that such a run
// had in a daemon of the host are cleared by foreign, which is given the
// daemon's address and the run's ID and may return ErrLater; its context ends
// after ForeignTime. If foreign is nil those runs are left.
func Sweep(ctx context.Context, foreign func(ctx context.Context, address, id string) error) error {
	dead, err := deadRuns()
	errs := []error{err}
	for _, d := range dead {
		errs = append(errs, d.sweep(ctx, foreign))
	}
	errs = append(errs, sweepOrphans(ctx))
	return errors.Join(errs...)
}

func (d *Dir) sweep(ctx context.Context, foreign func(ctx context.Context, address, id string) error) error {
	address, err := os.ReadFile(d.Path(daemonFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return errors.Join(err, d.lock.Close())
	case foreign == nil:
		return d.lock.Close()
	default:
		limited, cancel := context.WithTimeout(ctx, ForeignTime)
		err := foreign(limited, string(address), d.id)
		cancel()
		if err == ErrLater {
			return d.lock.Close()
		} else if err != nil {
			return errors.Join(fmt.Errorf("clearing run %s: %w", d.Path(), err), d.lock.Close())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, clearTime)
	defer cancel()
	return d.clear(ctx)
}

// removers is how many objects of a run are removed from a daemon at a time.
const removers = 8

// RemoveAll removes the objects of a run in a daemon, several at a time, and
// returns the errors of all.
func RemoveAll[T any](objects []T, remove func(T) error) error {
	errs := make([]error, len(objects))
	turn := make(chan struct{}, removers)
	var all sync.WaitGroup
	for n, object := range objects {
		turn <- struct{}{}
		all.Go(func() {
			errs[n] = remove(object)
			<-turn
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// deadRuns returns the runs of dead owners, whose locks it takes. It returns
// them with an error too, about the runs that it could not lock.
func deadRuns() ([]*Dir, error) {
	parent, err := parentDir()
	if err != nil {
		return nil, err
	}
	unlock, err := lockParent(parent)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids, err := runs(parent)
	if err != nil {
		return nil, err
	}
	var dead []*Dir
	var errs []error
	for _, id := range ids {
		d := &Dir{parent: parent, id: id}
		if d.lock, err = tryLock(d.lockPath()); err == nil {
			dead = append(dead, d)
		} else if err != errLive {
			errs = append(errs, err)
		}
	}
	if len(ids) == 0 {
		return nil, removeShared(parent)
	}
	return dead, errors.Join(errs...)
}

// unmountBelow unmounts everything mounted below dir, the latest mount first. If
// it returns nil nothing is left there: what is removed afterwards is the run's
// own and no directory of the host that has been mounted.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	var errs []error
	for i := len(mounts) - 1; i >= 0; i-- {
		errs = append(errs, Unmount(mounts[i].Mountpoint))
	}
	left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	errs = append(errs, err)
	for _, m := range left {
		errs = append(errs, &fs.PathError{Op: "unmount", Path: m.Mountpoint, Err: unix.EBUSY})
	}
	return errors.Join(errs...)
}

// Unmount takes a mount away, at once where nothing uses it and else as soon as
// nothing does. That nothing is mounted there is no error.
func Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if err == unix.EBUSY {
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return &fs.PathError{Op: "unmount", Path: target, Err: err}
	}
	return nil
}
