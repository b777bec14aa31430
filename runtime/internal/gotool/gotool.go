// Package gotool builds programs at pinned versions from Go modules, into the
// user's cache, so that a container runtime needs no package manager.
package gotool

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

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Program is one or more commands of one Go module at one version.
type Program struct {
	Name     string   // what progress and errors call it
	Version  string   // of the module, as v1.2.3
	Packages []string // import paths of the commands
	Tags     string   // build tags, comma separated
	CGO      bool     // whether a C compiler is needed
	Takes    string   // how long the first build takes, for the progress line
}

// Build returns the directory that holds the commands, each under the last
// element of its import path, building them at first use. Where they cannot be
// built the error is a *workload.Unavailable.
func (p Program) Build(ctx context.Context) (string, error) {
	tool, version, err := workload.CompilerGo(ctx)
	if err != nil {
		return "", err
	}
	cgo := "0"
	if p.CGO {
		cgo = "1"
	}
	env := []string{"CGO_ENABLED=" + cgo, "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOOS=" + goruntime.GOOS, "GOARCH=" + goruntime.GOARCH}
	args := []string{"install", "-trimpath", "-ldflags=-s -w", "-tags=" + p.Tags}
	for _, pkg := range p.Packages {
		args = append(args, pkg+"@"+p.Version)
	}
	key := cache.Key(version, strings.Join(env, " "), strings.Join(args, " "))
	return cache.Make(ctx, p.Name, key, func(dir string) error {
		cmd := exec.CommandContext(ctx, tool, args...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), env...), "GOBIN="+dir)
		if p.CGO {
			if err := p.findCompiler(ctx, cmd); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "# building %s %s (once, %s)\n", p.Name, p.Version, p.Takes)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return p.unavailable(ctx, cmd, out, err)
		}
		return nil
	})
}

// findCompiler reports whether the C compiler that go would run exists.
func (p Program) findCompiler(ctx context.Context, install *exec.Cmd) error {
	ask := exec.CommandContext(ctx, install.Path, "env", "CC")
	ask.Env = install.Env
	out, err := ask.Output()
	if err != nil {
		return p.unavailable(ctx, ask, nil, err)
	}
	cc, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if _, err := exec.LookPath(cc); err != nil {
		return &workload.Unavailable{What: p.Name, Why: "building it takes a C compiler", Fix: "install gcc or set CC", Err: err}
	}
	return nil
}

// unavailable makes of a failed command what there is to be done about it.
func (p Program) unavailable(ctx context.Context, cmd *exec.Cmd, out []byte, err error) error {
	u := &workload.Unavailable{
		What: p.Name + " " + p.Version,
		Why:  "building it failed",
		Fix:  "make this command succeed: " + strings.Join(append([]string{"go"}, cmd.Args[1:]...), " "),
	}
	if offline(out) {
		u.Why = "its modules cannot be downloaded"
		u.Fix = "connect to the network once or set GOPROXY to a proxy that can be reached"
	}
	u.Err = errors.Join(err, ctx.Err())
	if tail := tail(out); tail != "" {
		u.Err = fmt.Errorf("%w: %s", u.Err, tail)
	}
	return u
}

// offline reports whether the output of go tells of a network that is absent.
func offline(out []byte) bool {
	for _, sign := range []string{"dial tcp", "no such host", "network is unreachable", "module lookup disabled", "TLS handshake timeout"} {
		if bytes.Contains(out, []byte(sign)) {
			return true
		}
	}
	return false
}

// tail returns the last lines of a tool's output.
func tail(out []byte) string {
	const most = 1 << 10
	out = bytes.TrimSpace(out)
	if len(out) > most {
		out = out[len(out)-most:]
		if i := bytes.IndexByte(out, '\n'); i >= 0 {
			out = out[i+1:]
		}
	}
	return string(out)
}

// Find returns the path of a command that Build made.
func (p Program) Find(ctx context.Context, command string) (string, error) {
	dir, err := p.Build(ctx)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, command), nil
}
