package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/seed-0132abb7/wasmbench/internal/linked"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Every image of an engine has what it consists of.
var (
	_ runtime.Shipped = (*processImage)(nil)
	_ runtime.Shipped = (*processServer)(nil)
	_ runtime.Shipped = (*heldImage)(nil)
	_ runtime.Shipped = (*heldServer)(nil)
)

// shipped are the files of an image.
type shipped struct {
	label string
	host  string   // the program
	files []string // the guest's own
}

// ship lists the files of g, of which a runtime that ReadsModule reads both.
func (r *Runtime) ship(g guest) (shipped, error) {
	s := shipped{label: r.Label, host: g.host}
	needed := g.src
	if len(needed) > 1 && !r.ReadsModule {
		needed = needed[1:]
	}
	for _, path := range needed {
		err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				s.files = append(s.files, file)
			}
			return err
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// Files returns the module, the artefact, or both.
func (s shipped) Files() []string { return slices.Clone(s.files) }

// HostFiles asks the dynamic linker of the host's program.
func (s shipped) HostFiles(ctx context.Context) ([]string, error) {
	libraries, err := s.libraries(ctx)
	if err != nil {
		return nil, fmt.Errorf("runtime %s: looking for what %s is linked with: %w", s.label, s.host, err)
	}
	return append([]string{s.host}, libraries...), nil
}

func (s shipped) libraries(ctx context.Context) ([]string, error) {
	f, err := os.Open(s.host)
	if err != nil {
		return nil, err
	}
	linker, err := linked.Linker(f)
	if err := errors.Join(err, f.Close()); err != nil || linker == "" {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, linker, s.host)
	cmd.Env = append(os.Environ(), linked.Trace)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %w: %s", linker, err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, err
	}
	files, err := linked.Libraries(string(out))
	if err != nil {
		return nil, err
	}
	for i, file := range files { // of which the linker has the names that lead to them
		if files[i], err = filepath.EvalSymlinks(file); err != nil {
			return nil, err
		}
	}
	return files, nil
}
