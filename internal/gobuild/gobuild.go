// Package gobuild has the Go toolchain build programs of a module on disk, each once for
// what it is made of.
package gobuild

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// A Program is a package main and how it is built.
type Program struct {
	Kind    string // of its entries in the cache
	Tool    string // the go command
	Dir     string // of the module
	Package string // relative to Dir, as "./cmd/serve"
	Name    string // of the file; "" is the last element of Package
	Flags   []string
	Env     []string // beside that of this process

	// Made is what else decides of the program: what the go command links
	// and does not look into, and what it takes from its environment.
	Made []string
}

// An Error tells that the go command failed.
type Error struct {
	Command string // for a shell, with the directory and what Env adds
	Said    string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Command, e.Said, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Build returns the path of the program in the cache, building it where it is not there. Where
// the go command fails the error is an *Error, and where ctx ends its cause.
func (p Program) Build(ctx context.Context) (string, error) {
	packages, err := p.packages(ctx)
	if err != nil {
		return "", err
	}
	name := p.file()
	entry, err := cache.Make(ctx, p.Kind, cache.Key(p.asked(), packages), func(dir string) error {
		_, err := p.run(ctx, "build", "-o", filepath.Join(dir, name))
		return err
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, name), nil
}

func (p Program) file() string { return cmp.Or(p.Name, path.Base(p.Package)) }

// asked is what is to be built, but for its sources.
func (p Program) asked() string {
	return cache.Key(slices.Concat([]string{p.Package, p.file(), cache.Key(p.Flags...), cache.Key(p.Env...)}, p.Made)...)
}

// compiled has what packages returned: to ask takes most of a second even where there is
// nothing to compile.
var compiled sync.Map

// packages compiles what the program consists of and returns the identities of all of it,
// which are that of the program before it is linked.
func (p Program) packages(ctx context.Context) (string, error) {
	key := cache.Key(p.Tool, p.Dir, p.asked())
	if known, ok := compiled.Load(key); ok {
		return known.(string), nil
	}
	ids, err := p.run(ctx, "list", "-deps", "-export", "-f={{.BuildID}}")
	if err == nil {
		compiled.Store(key, ids)
	}
	return ids, err
}

// grace is how long the go command has to end once it is told to.
const grace = time.Second

func (p Program) run(ctx context.Context, command string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.Tool, slices.Concat([]string{command}, p.Flags, args, []string{p.Package})...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } // its compilers and linkers too
	cmd.WaitDelay = grace
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	goruntime.LockOSThread() // the go command dies with its thread
	err := cmd.Run()
	goruntime.UnlockOSThread()
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("building %s: %w", p.Package, context.Cause(ctx))
	}
	return "", &Error{Command: "cd " + quoted(p.Dir) + " && env " + quoted(slices.Concat(p.Env, cmd.Args)...), Said: strings.TrimSpace(said.String() + out.String()), Err: err}
}

// quoted are words as a shell takes them.
func quoted(words ...string) string {
	q := slices.Clone(words)
	for i, w := range q {
		if strings.ContainsAny(w, " \t\n'\"\\$&|;<>()*?[]`~#!{}") || w == "" {
			q[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(q, " ")
}
