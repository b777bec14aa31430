package containerd

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	wasmtimeName    = "containerd-wasmtime"
	wasmtimeRuntime = "io.containerd.wasmtime.v1"
)

// NewWasmtime returns the runtime "containerd-wasmtime": containerd with
// runwasi's shim for Wasmtime, which must be on PATH, running a guest's WASI
// module in a container. That shim cannot pause a guest, and the guest does not
// see the end of its input, so that ending it takes a moment longer.
func NewWasmtime(options Options) *Runtime {
	if options.Name == "" {
		options.Name = wasmtimeName
	}
	if options.Runtime == "" {
		options.Runtime = wasmtimeRuntime
	}
	r := New(options)
	r.modules = true
	return r
}

// shimProgram returns the program that containerd runs for a shim that is given
// by its name, such as io.containerd.wasmtime.v1, or by its path.
func shimProgram(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return name
	}
	return "containerd-shim-" + strings.Join(parts[len(parts)-2:], "-")
}

// findShim returns the path of the shim of a private daemon. Only the host knows
// where another daemon looks for its shims.
func findShim(o Options) (string, error) {
	program := shimProgram(o.Runtime)
	path, err := exec.LookPath(program)
	if err != nil {
		return "", &workload.Unavailable{
			What: o.Name,
			Why:  "the shim " + program + " is not on PATH",
			Fix:  "install " + program + " from the releases of github.com/containerd/runwasi, for instance in /usr/local/bin",
			Err:  err,
		}
	}
	return path, nil
}

// shimVersion tells the version of the shim, or that it is not known.
func (l *link) shimVersion(ctx context.Context) string {
	unknown := shimProgram(l.options.Runtime) + " of unknown version"
	if l.daemon == nil {
		return unknown
	}
	path, err := findShim(l.options)
	if err != nil {
		return unknown
	}
	out, err := exec.CommandContext(ctx, path, "-v").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) == 0 {
		return unknown
	}
	return strings.TrimSuffix(filepath.Base(words[0]), ":") + " " + strings.Join(words[1:], " ")
}

// noServer says why no module serves.
func (r *Runtime) noServer(w workload.Workload) error {
	return &runtime.Unavailable{
		What: fmt.Sprintf("workload %s served by %s", w.Name(), r.options.Name),
		Why:  "a WASI preview 1 module cannot listen and this shim does not listen for it",
		Fix:  "serve it by a runtime whose host listens, such as wasmtime",
		Err:  workload.ErrNoForm,
	}
}

// noDirectory says why no module has a directory of the host: the shim opens the
// container's root for it and nothing else, so that what it names it would find
// there.
func (r *Runtime) noDirectory(w workload.Workload, dir string) error {
	return &runtime.Unavailable{
		What: fmt.Sprintf("workload %s in the directory %s by %s", w.Name(), dir, r.options.Name),
		Why:  "this shim gives a module the container's own file system and no working directory",
		Fix:  "give it no directory, or run it by a runtime that opens one for it, such as wasmtime",
	}
}
