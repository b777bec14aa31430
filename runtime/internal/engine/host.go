// Package engine drives engine hosts from the harness: the runtimes whose
// instance is a host process, and those whose instances live in one.
package engine

import (
	"context"
	"sync"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/program"
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
		built := program.Program{What: "engine host " + h.Package, Kind: "host", Package: h.Package, CGO: h.CGO, Tag: lib.Tag, Env: lib.Env, Key: lib.Key}
		if path, err = built.Build(ctx); err != nil {
			return "", "", err
		}
		if key, err = cache.FileKey(path); err != nil {
			return "", "", err
		}
		h.path, h.key = path, cache.Key(key, lib.Key)
	}
	return h.path, h.key, nil
}
