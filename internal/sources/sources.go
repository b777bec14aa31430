// Package sources finds the sources of this module, from which programs are built
// when they are first used: an importer has them where the Go toolchain keeps
// modules.
package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
)

// Module is the path of this module.
const Module = "github.com/seed-0132abb7/wasmbench"

// Remedy is the instruction that goes with an error of Dir.
const Remedy = "run where go.mod requires " + Module + ", and once where it can be downloaded: go mod download " + Module +
	" (a vendor directory has only the packages that are imported)"

// A module is what the go command and a program's build information tell of one.
type module struct {
	Path, Version string
	Dir           string // where its sources are, if they are here
	Replace       *module
	Error         any // of go mod download, as a text
}

// Dir returns the directory that has this module's sources: the checkout, what
// replaces it, or where the Go toolchain at the path goTool keeps the version that is
// required or that the running program was built with, downloaded if need be.
func Dir(ctx context.Context, goTool string) (string, error) {
	// Neither go.mod nor a vendor directory is changed or asked.
	m, listed := ask(ctx, goTool, "list", "-mod=readonly", "-m", "-json", Module)
	if listed != nil {
		m = built()
	}
	if m.Replace != nil {
		m = *m.Replace
	}
	var err error
	switch {
	case m.Dir != "":
	case filepath.IsAbs(m.Path):
		m.Dir = m.Path
		_, err = os.Stat(filepath.Join(m.Dir, "go.mod"))
	default:
		m, err = ask(ctx, goTool, "mod", "download", "-json", m.Path+"@"+m.Version)
	}
	if err != nil {
		return "", fmt.Errorf("finding the sources of %s: %w", Module, errors.Join(listed, err, context.Cause(ctx)))
	}
	return m.Dir, nil
}

// built returns this module as the running program was built with it.
func built() module {
	m := module{Path: Module}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, d := range append(info.Deps, &info.Main) {
		if d.Path != Module {
			continue
		}
		m.Version = d.Version
		if r := d.Replace; r != nil {
			m.Replace = &module{Path: r.Path, Version: r.Version}
		}
	}
	return m
}

// ask returns what a go command says of a module. The error tells what it said.
func ask(ctx context.Context, goTool string, args ...string) (m module, err error) {
	cmd := exec.CommandContext(ctx, goTool, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if damage := json.Unmarshal(out, &m); err == nil {
		err = damage
	}
	if m.Error != nil {
		fmt.Fprint(&said, m.Error)
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w: %s", cmd, err, bytes.TrimSpace(said.Bytes()))
	}
	return m, nil
}
