package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/scratch"
	"github.com/seed-0132abb7/wasmbench/internal/sources"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// ownPackage is this module's program, below the module's root.
const ownPackage = "measure/load/generator"

// A builder builds a program once.
type builder struct {
	turn chan struct{} // of one: whoever has put something in may build
	path string
}

var own = builder{turn: make(chan struct{}, 1)}

// program returns the path of this module's program.
func (b *builder) program(ctx context.Context) (path string, err error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return "", buildingEnded(ctx)
	}
	if b.path == "" {
		b.path, err = build(ctx)
	}
	return b.path, err
}

func buildingEnded(ctx context.Context) error {
	return fmt.Errorf("building the load generator: %w", context.Cause(ctx))
}

// build leaves it to the Go toolchain to see what there is to do. Meanwhile another
// process may be starting the program, or building it too.
func build(ctx context.Context) (path string, err error) {
	goTool, version, err := workload.CompilerGo(ctx)
	if err != nil {
		return "", err
	}
	source, err := sources.Dir(ctx, goTool)
	if ctx.Err() != nil {
		return "", buildingEnded(ctx)
	}
	if err != nil {
		return "", &workload.Unavailable{What: "the load generator", Why: "its sources are not to be had", Fix: sources.Remedy, Err: err}
	}
	root, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "load", cache.Key(source, version))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "generator")
	work, err := scratch.New(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	out := filepath.Join(work.Path(), "generator")
	cmd := exec.CommandContext(ctx, goTool, "build", "-C", source, "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./"+ownPackage)
	// An empty GOFLAGS would leave to those of go env -w.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS="+goruntime.GOOS, "GOARCH="+goruntime.GOARCH, "CGO_ENABLED=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	goruntime.LockOSThread() // the compiler dies with its thread
	err = cmd.Run()
	goruntime.UnlockOSThread()
	switch {
	case ctx.Err() != nil:
		return "", buildingEnded(ctx)
	case err != nil:
		return "", &workload.Unavailable{
			What: "the load generator",
			Why:  "building it failed: " + strings.TrimSpace(printed.String()),
			Fix:  "make this command succeed: " + strings.Join(cmd.Args, " "),
			Err:  err,
		}
	}
	if err := os.Rename(out, path); err != nil {
		return "", err
	}
	return path, nil
}
