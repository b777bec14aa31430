// Package native runs a guest as a process of the host: the baseline of every
// table and the floor under every other runtime, fork and exec.
package native

import (
	"context"
	"os"
	goruntime "runtime"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
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
	return runtime.Info{Version: "linux " + kernel[0], Settings: goruntime.GOARCH + ", static executable, fork and exec"}, nil
}

func (native) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	path, err := w.Artifact(ctx, workload.Executable)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &image{path: path, size: info.Size()}, nil
}

type image struct {
	path string
	size int64
}

func (i *image) Bytes() int64 { return i.size }
func (i *image) Close() error { return nil }

// Start marks Create when the program has been executed and Ready.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	w, created, ready, err := process.StartWorker(ctx, i.path, nil)
	if err != nil {
		return nil, err
	}
	mark(runtime.Create, created)
	mark(runtime.Ready, ready)
	return w, nil
}
