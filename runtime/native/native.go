// Package native runs a guest as a process of the host: the baseline of every
// table and the floor under every other runtime, fork and exec.
package native

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// New returns the runtime "native".
func New() runtime.Runtime { return native{} }

type native struct{}

func (native) Name() string { return "native" }

func (native) Probe(context.Context) (runtime.Info, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return runtime.Info{}, &runtime.Unavailable{What: "native", Why: "processes cannot be read", Fix: "mount /proc", Err: err}
	}
	kernel, err := fs.SysctlStrings("kernel.osrelease")
	if err != nil || len(kernel) == 0 {
		return runtime.Info{}, &runtime.Unavailable{What: "native", Why: "the kernel's release cannot be read", Fix: "run on Linux", Err: err}
	}
	return runtime.Info{Version: "linux " + kernel[0], Settings: goruntime.GOARCH + ", fork and exec, environment of " + process.Environment}, nil
}

func (native) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	p, err := find(ctx, w, workload.Executable)
	if err != nil {
		return nil, err
	}
	return &image{p}, nil
}

// PrepareServer finds the guest's own HTTP server, which needs no pool. It returns
// an *Unavailable for a bridge.
func (native) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (runtime.ServerImage, error) {
	if o.Bridge {
		return nil, runtime.NoBridge("native")
	}
	p, err := find(ctx, w, workload.Server)
	if err != nil {
		return nil, err
	}
	return &serverImage{p}, nil
}

// A program is a guest on disk, which nothing has to be done for.
type program struct {
	name string // of the workload
	path string // absolute: where it starts is another directory
	dir  string // its working directory, "" for the harness's
	size int64
}

func find(ctx context.Context, w workload.Workload, f workload.Form) (program, error) {
	path, err := w.Artifact(ctx, f)
	if err != nil {
		return program{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return program{}, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return program{}, err
	}
	dir, err := hostdir.Of(w)
	if err != nil {
		return program{}, fmt.Errorf("native: workload %s: %w", w.Name(), err)
	}
	return program{name: w.Name(), path: path, dir: dir, size: info.Size()}, nil
}

// failed says with which workload err came about.
func (p program) failed(err error) error {
	return fmt.Errorf("native: workload %s: %w", p.name, err)
}

func (p program) Bytes() int64 { return p.size }
func (p program) Close() error { return nil }

type image struct{ program }

// Start marks Create when the program has been executed and Ready.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	w, created, ready, err := process.StartWorker(ctx, process.Program{Path: i.path, Dir: i.dir})
	if err != nil {
		return nil, i.failed(err)
	}
	mark(runtime.Create, created)
	mark(runtime.Ready, ready)
	return w, nil
}

type serverImage struct{ program }

// Serve marks Create when the program has been executed.
func (i *serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	if address == "" {
		var err error
		if address, err = runtime.FreeAddress(); err != nil {
			return nil, err
		}
	}
	s, created, err := process.Serve(ctx, process.Program{Path: i.path, Args: []string{address}, Dir: i.dir}, address)
	if err != nil {
		return nil, i.failed(err)
	}
	mark(runtime.Create, created)
	return s, nil
}
