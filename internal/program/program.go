// Package program builds this module's own programs at their first use: the load
// generator and the hosts of engines.
package program

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/seed-0132abb7/wasmbench/internal/gobuild"
	"github.com/seed-0132abb7/wasmbench/internal/sources"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Program is one of this module's.
type Program struct {
	What    string // it is, in errors
	Kind    string // of its entries in the cache
	Package string // its import path below the module's root
	CGO     bool   // it takes a C compiler

	Tag string   // of the build; may be ""
	Env []string // of the build: what it is linked with
	Key string   // identifies what it is linked with, beyond names
}

// Build returns the path of the built program. Where it cannot be built here the error is an
// *workload.Unavailable, and if ctx ends its cause.
func (p Program) Build(ctx context.Context) (string, error) {
	goTool, version, err := workload.CompilerGo(ctx)
	if err != nil {
		return "", err
	}
	source, err := sources.Dir(ctx, goTool)
	if ctx.Err() != nil {
		return "", fmt.Errorf("building %s: %w", p.What, context.Cause(ctx))
	}
	if err != nil {
		return "", &workload.Unavailable{What: p.What, Why: "its sources were not found", Fix: sources.Remedy, Err: err}
	}
	// With cgo, packages are those that the go command compiles for tests; without, those of
	// Go guests, whose paths are trimmed.
	cgo, flags := "CGO_ENABLED=0", []string{"-trimpath"}
	if p.CGO {
		cgo, flags = "CGO_ENABLED=1", nil
	}
	path, err := gobuild.Program{
		Kind: p.Kind, Tool: goTool, Dir: source, Package: "./" + p.Package,
		Name:  strings.ReplaceAll(p.Package, "/", "-"), // which process lists show
		Flags: append(flags, "-buildvcs=false", "-ldflags=-s -w", "-tags="+p.Tag),
		// Were GOFLAGS empty, that of go env -w would hold.
		Env:  slices.Concat([]string{"GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS=" + goruntime.GOOS, "GOARCH=" + goruntime.GOARCH, cgo}, p.Env),
		Made: []string{version, p.Key},
	}.Build(ctx)
	failed := (*gobuild.Error)(nil)
	switch {
	case !errors.As(err, &failed):
		return path, err
	case p.CGO && strings.Contains(failed.Said, "C compiler"):
		return "", &workload.Unavailable{What: p.What, Why: "building it takes a C compiler", Fix: "install gcc and its C library's headers (Debian: gcc libc6-dev)", Err: failed.Err}
	}
	return "", &workload.Unavailable{What: p.What, Why: "building it failed: " + failed.Said, Fix: "make this command succeed: " + failed.Command, Err: failed.Err}
}
