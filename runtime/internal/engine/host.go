// Package engine drives engine hosts from the harness: the runtimes whose
// instance is a host process, and those whose instances live in one.
package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/sources"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Host is the program of one engine, built by the Go toolchain at its first
// use. Several runtimes share one.
type Host struct {
	// Package is the import path of the program below the module's root.
	Package string
	// CGO is whether it takes a C compiler to build.
	CGO bool
	// Library finds the library of this machine that the program is linked
	// with, or returns an *Unavailable. It is nil where the Go toolchain brings
	// all there is to link.
	Library func(context.Context) (Library, error)

	mu   sync.Mutex
	path string
	key  string // identifies the built program and its library
}

// A Library is what a host is linked with and how.
type Library struct {
	Env []string // for the go command: CGO_CFLAGS, CGO_LDFLAGS
	Tag string   // the build tag of the code that takes the library
	Key string   // identifies the library, of which the program holds no more than the name
}

// Path returns the path of the built program and a key of its content and of
// its library's.
func (h *Host) Path(ctx context.Context) (path, key string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.path == "" {
		var lib Library
		if h.Library != nil {
			if lib, err = h.Library(ctx); err != nil {
				return "", "", err
			}
		}
		if path, err = h.build(ctx, lib); err != nil {
			return "", "", err
		}
		if key, err = cache.FileKey(path); err != nil {
			return "", "", err
		}
		h.path, h.key = path, cache.Key(key, lib.Key)
	}
	return h.path, h.key, nil
}

// build leaves it to the Go toolchain to see whether the program is up to date.
func (h *Host) build(ctx context.Context, lib Library) (string, error) {
	goTool, version, err := workload.CompilerGo(ctx)
	if err != nil {
		return "", err
	}
	source, err := sources.Dir(ctx, goTool)
	if ctx.Err() != nil {
		return "", fmt.Errorf("building engine host %s: %w", h.Package, context.Cause(ctx))
	}
	if err != nil {
		return "", &runtime.Unavailable{What: "engine host " + h.Package, Why: "its sources were not found", Fix: sources.Remedy, Err: err}
	}
	root, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "host", cache.Key(source, version, lib.Key))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	out := filepath.Join(dir, strings.ReplaceAll(h.Package, "/", "-"))
	cmd := exec.CommandContext(ctx, goTool, "build", "-C", source, "-buildvcs=false", "-ldflags=-s -w", "-tags="+lib.Tag, "-o", out, "./"+h.Package)
	// Were GOFLAGS empty, that of go env -w would hold.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS="+goruntime.GOOS, "GOARCH="+goruntime.GOARCH, "CGO_ENABLED=0")
	if h.CGO {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	cmd.Env = append(cmd.Env, lib.Env...)
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err = run(cmd)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("building engine host %s: %w", h.Package, context.Cause(ctx))
	case h.CGO && strings.Contains(printed.String(), "C compiler"):
		return "", &runtime.Unavailable{What: "engine host " + h.Package, Why: "building it takes a C compiler", Fix: "install gcc and its C library's headers (Debian: gcc libc6-dev)", Err: err}
	}
	return "", &runtime.Unavailable{
		What: "engine host " + h.Package,
		Why:  "building it failed: " + strings.TrimSpace(printed.String()),
		Fix:  "make this command succeed: " + strings.Join(slices.Concat(lib.Env, cmd.Args), " "),
		Err:  err,
	}
}
