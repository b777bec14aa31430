// Package rundir keeps everything that a container runtime makes below one
// private directory per run, so that what a killed run left behind can be found
// and cleared without a daemon.
//
// A run's directory is below wasmbench-UID in os.TempDir, its cgroups are below
// /wasmbench/ID of every hierarchy, a network device of its own is called wb-ID,
// and its processes carry the mark of Env. Locks that end with its owner, on a
// file beside the directory and on those cgroups, tell a live run from a dead one,
// whatever becomes of os.TempDir.
package rundir

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// longestPath leaves room for a socket's name within the 108 bytes that the
// kernel gives its address.
const longestPath = 80

// clearTime bounds the clearing of one run.
const clearTime = 20 * time.Second

// daemonFile names the daemon, outside the run, that holds objects of the run.
const daemonFile = "daemon"

// A Dir is the directory of a live run.
type Dir struct {
	parent  string
	id      string
	lock    *os.File
	cgroups claims // of a run that this process has made
}

// Make makes the directory of a new run. The error says what is wrong with
// os.TempDir where it cannot be used.
func Make() (*Dir, error) {
	id := make([]byte, 5)
	rand.Read(id)
	return makeNamed(hex.EncodeToString(id))
}

func makeNamed(id string) (*Dir, error) {
	d, err := register(id)
	if err != nil {
		return nil, err
	}
	if d.cgroups, err = makeCgroups(cgroupOf(id)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// register makes the directory and the lock of a run.
func register(id string) (*Dir, error) {
	parent, err := parentDir()
	if err != nil {
		return nil, err
	}
	if path := filepath.Join(parent, id); len(path) > longestPath || strings.ContainsAny(path, ",:\\\" \n") {
		return nil, fmt.Errorf("run directory %s is too long or has a character that mount options cannot have: set TMPDIR to a short plain path", path)
	}
	unlock, err := lockParent(parent)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := noteMissing(parent); err != nil {
		return nil, err
	}
	d := &Dir{parent: parent, id: id}
	if d.lock, err = tryLock(d.lockPath()); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.Path(), 0o700); err != nil {
		return nil, errors.Join(err, os.Remove(d.lockPath()), d.lock.Close())
	}
	return d, nil
}

// ID identifies the run on this host.
func (d *Dir) ID() string { return d.id }

// Path returns a path in the run's directory.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.parent, d.id}, elem...)...)
}

func (d *Dir) lockPath() string { return d.Path() + lockSuffix }

// Cgroup returns the path, below each hierarchy's mount, of the cgroup for one
// container of the run.
func (d *Dir) Cgroup(container string) string { return cgroupOf(d.id) + "/" + container }

// Env is the environment variable, as NAME=value, that every process of the
// run other than guests must be given.
func (d *Dir) Env() string { return envOf(d.Path()) }

func envOf(path string) string { return "WASMBENCH_RUN=" + path }

// UseDaemon notes that a daemon that is no part of the run, at that address,
// will hold objects of the run; see Sweep.
func (d *Dir) UseDaemon(address string) error {
	return os.WriteFile(d.Path(daemonFile), []byte(address), 0o600)
}

// Close ends the run: it kills the processes that are left and removes mounts,
// cgroups, sockets, the network device of UseLink and the directory. It takes its
// own time, at most 20 s.
func (d *Dir) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), clearTime)
	defer cancel()
	return d.clear(ctx)
}

// Leave ends the run but leaves what it made, and the notes of UseDaemon and
// UseLink, to a later Sweep: for objects in a daemon that could not be removed now.
func (d *Dir) Leave() error {
	d.cgroups.close()
	return d.lock.Close()
}

func (d *Dir) clear(ctx context.Context) error {
	defer d.lock.Close()
	defer d.cgroups.close()
	held, killErr := killRun(ctx, d.Path(), d.id)
	named, namedErr := bootstrapped(d.Path())
	noted, notedErr := grouped(d.Path())
	err := errors.Join(killErr, namedErr, notedErr,
		RemoveSockets(slices.Concat(held, named, noted)...),
		unmountBelow(d.Path()),
		removeCgroups(ctx, cgroupOf(d.id)),
		d.removeLink())
	if err != nil {
		return fmt.Errorf("clearing run %s: %w", d.Path(), err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(wasmtimeState, Namespace(d.id))), os.RemoveAll(d.Path())); err != nil {
		return err
	}
	unlock, err := lockParent(d.parent)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(d.lockPath()); err != nil {
		return err
	}
	return removeShared(d.parent)
}
