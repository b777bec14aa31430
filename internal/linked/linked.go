// Package linked finds the files without which a program does not start: its dynamic
// linker and its shared libraries. The linker itself is asked, for which directories it
// looks into is known to nobody else.
package linked

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// ErrMissing is wrapped by the error about a library that the linker does not find.
var ErrMissing = errors.New("a shared library is missing")

// Linker returns the path of the dynamic linker that the ELF program names, or "" where
// it is linked statically.
func Linker(program io.ReaderAt) (string, error) {
	f, err := elf.NewFile(program)
	if err != nil {
		return "", err
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p.Open(), maxPath))
		return strings.TrimRight(string(b), "\x00"), err
	}
	return "", nil
}

const maxPath = 4096

// Trace is what has to be in the environment of the linker, whose argument is the path
// of a program, so that it writes what Libraries reads rather than start the program.
// Its --list does the same, but not where a library is missing.
const Trace = "LD_TRACE_LOADED_OBJECTS=1"

// Libraries returns the paths of the shared libraries, and of the linker, in what the
// linker has written. That the kernel brings itself is left out.
func Libraries(listed string) ([]string, error) {
	var files []string
	for line := range strings.Lines(listed) {
		// A name, an arrow and where that was found; or a path; then an address.
		name, found, arrow := strings.Cut(strings.TrimSpace(line), " => ")
		if !arrow {
			found = name
		}
		file, _, _ := strings.Cut(found, " (")
		switch {
		case path.IsAbs(file):
			files = append(files, file)
		case arrow:
			return nil, fmt.Errorf("%w: %s", ErrMissing, name)
		}
	}
	return files, nil
}
