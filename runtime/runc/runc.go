// Package runc runs guests in containers that runc makes, without a daemon:
// what the kernel and runc cost.
package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/gotool"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Options choose what New does. The zero value builds a pinned runc from its Go
// module at first use.
type Options struct {
	// Path is the runc to use, or a program with the same command line.
	Path string
}

type runcRuntime struct{ options Options }

// New returns the runtime "runc", which is a runtime.Server too. It holds nothing
// that would have to be closed; each image has a private directory until it is
// closed. Its instances can be paused and restarted.
func New(options Options) runtime.Runtime { return &runcRuntime{options} }

// Name returns "runc".
func (r *runcRuntime) Name() string { return "runc" }

// Probe tries what containers take on this host, and builds runc if need be.
func (r *runcRuntime) Probe(ctx context.Context) (runtime.Info, error) {
	if err := check(); err != nil {
		return runtime.Info{}, err
	}
	path, err := r.binary(ctx)
	if err != nil {
		return runtime.Info{}, err
	}
	version, err := Version(ctx, path)
	if err != nil {
		return runtime.Info{}, err
	}
	root := "overlayfs"
	if disk, err := oci.FileSystem(os.TempDir()); err == nil {
		root += " on " + disk
	}
	return runtime.Info{Version: version, Settings: root + ", own pid ipc uts mount network namespaces (servers: the host's network, or one on a bridge without packet filter), " + Seccomp(version)}, nil
}

func check() error {
	if os.Geteuid() != 0 {
		return oci.CheckHost("runc", "")
	}
	dir, err := rundir.Make()
	if err != nil {
		return err
	}
	return errors.Join(oci.CheckHost("runc", dir.Path()), dir.Close())
}

func (r *runcRuntime) binary(ctx context.Context) (string, error) {
	if r.options.Path == "" {
		return gotool.Runc.Find(ctx, "runc")
	}
	return Find(r.options.Path)
}

// Find returns the absolute path of a runc given by its path or its name.
func Find(path string) (string, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return "", &workload.Unavailable{What: "runc", Why: "the program given is not there", Fix: "give the path of runc or none", Err: err}
	}
	return filepath.Abs(path)
}

// Version returns the version line of the runc at path, with what it was built
// with, in one line.
func Version(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", &workload.Unavailable{What: "runc", Why: path + " does not tell its version", Fix: "give the path of a runc that runs here", Err: err}
	}
	return strings.Join(strings.FieldsFunc(strings.TrimSpace(string(out)), func(c rune) bool { return c == '\n' }), ", "), nil
}

// Seccomp says in a clause what the runc with that version line makes of
// seccomp.
func Seccomp(version string) string {
	if strings.Contains(version, "libseccomp") {
		return "no seccomp profile"
	}
	return "no seccomp in runc built from modules"
}

// Prepare makes a private directory for the containers of w's guest and clears
// what dead runs left.
func (r *runcRuntime) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	img, err := r.prepare(ctx, w, workload.RootFS)
	if err != nil {
		return nil, err
	}
	return img, nil
}

// PrepareServer does the same for the guest's own HTTP server, and makes the bridge
// if there is to be one. The pool is for guests that have no server.
func (r *runcRuntime) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (_ runtime.ServerImage, err error) {
	i := &serverImage{}
	if i.image, err = r.prepare(ctx, w, workload.ServerRootFS); err != nil {
		return nil, err
	}
	if o.Bridge {
		if i.network, err = bridge.New(); err != nil {
			return nil, errors.Join(fmt.Errorf("runc: %w", err), i.image.Close())
		}
	}
	return i, nil
}

func (r *runcRuntime) prepare(ctx context.Context, w workload.Workload, f workload.Form) (*image, error) {
	if err := check(); err != nil {
		return nil, err
	}
	path, err := r.binary(ctx)
	if err != nil {
		return nil, err
	}
	directory, err := hostdir.Of(w)
	if err != nil {
		return nil, fmt.Errorf("runc: workload %s: %w", w.Name(), err)
	}
	trees, err := oci.Trees(ctx, w, f)
	if err != nil {
		return nil, err
	}
	var size int64
	for _, tree := range trees {
		n, err := cache.Size(tree)
		if err != nil {
			return nil, fmt.Errorf("runc: the root file system of %s: %w", w.Name(), err)
		}
		size += n
	}
	if err := rundir.Sweep(ctx, nil); err != nil {
		return nil, err
	}
	dir, err := rundir.Make()
	if err != nil {
		return nil, err
	}
	img := &image{runc: path, dir: dir, directory: directory, bytes: size}
	for n, tree := range trees {
		// A link has a path without the characters that mount options cannot
		// have.
		link := dir.Path("lower" + strconv.Itoa(n))
		if err := os.Symlink(tree, link); err != nil {
			return nil, errors.Join(err, dir.Close())
		}
		img.lower = append(img.lower, link)
	}
	return img, nil
}
