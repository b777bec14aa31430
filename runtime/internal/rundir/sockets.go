package rundir

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// StateName is what the state directory of a containerd that belongs to a run
// is called in the run's directory.
const StateName = "state"

// containerdDirs are made by containerd's shims outside the run's directory;
// their sockets are in the first.
var containerdDirs = []string{"/run/containerd/s", wasmtimeState, "/run/containerd"}

// wasmtimeState is where runwasi's shim for Wasmtime keeps its containers'
// state, by namespace. Unlike that of the shim for runc it cannot be moved.
const wasmtimeState = "/run/containerd/wasmtime"

// Namespace names the namespace of a run in containerd.
func Namespace(id string) string { return "wasmbench-" + id }

// groupSocketFile notes the socket of a shim for several containers.
const groupSocketFile = "group.socket"

// NoteGroup returns the socket of the shim that the containerd at address has
// for a group of the run's containers, and notes it: the shim, which takes its
// socket for that of its first container, leaves it when it ends. It goes with
// the run at the latest.
func (d *Dir) NoteGroup(address, group string) (socket string, err error) {
	if address, err = filepath.EvalSymlinks(address); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(filepath.Join(address, Namespace(d.id), group)))
	socket = filepath.Join(containerdDirs[0], hex.EncodeToString(sum[:]))
	return socket, os.WriteFile(d.Path(groupSocketFile), []byte(socket), 0o600)
}

// grouped returns the socket that NoteGroup has noted, if it has.
func grouped(dir string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(dir, groupSocketFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return []string{string(b)}, err
}

// bootstrapped lists the shim sockets that the bundles of the run's containerd
// name, in one file or, before containerd 1.7, another.
func bootstrapped(dir string) ([]string, error) {
	var sockets []string
	for _, name := range []string{"bootstrap.json", "address"} {
		files, err := filepath.Glob(filepath.Join(dir, StateName, "io.containerd.runtime.v2.task", "*", "*", name))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			bootstrap := struct {
				Address string `json:"address"`
			}{string(b)}
			if name == "address" || json.Unmarshal(b, &bootstrap) == nil { // else half written when the daemon died
				sockets = append(sockets, strings.TrimPrefix(bootstrap.Address, "unix://"))
			}
		}
	}
	return sockets, nil
}

// listening lists the shim sockets that any of the processes holds: a shim has
// its socket before its bundle names it.
func listening(pids []int) ([]string, error) {
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	paths := map[string]string{} // by what a descriptor links to
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) == 8 && filepath.Dir(f[7]) == containerdDirs[0] {
			paths["socket:["+f[6]+"]"] = f[7]
		}
	}
	if len(paths) == 0 {
		return nil, nil
	}
	var sockets []string
	for _, pid := range pids {
		dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // it has just ended
		}
		for _, fd := range fds {
			if link, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && paths[link] != "" {
				sockets = append(sockets, paths[link])
			}
		}
	}
	return sockets, nil
}

// RemoveSockets removes those of the paths that are in the directory of shim
// sockets.
func RemoveSockets(paths ...string) error {
	var errs []error
	for _, path := range paths {
		if filepath.Dir(path) != containerdDirs[0] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
