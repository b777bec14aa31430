// Package module bounds the shape of a WebAssembly module before an engine
// sees it, and says in the user's words what a module lacks. It reads sections;
// whether the code is valid is for the engine to say.
package module

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Limits of a module. They are those that browsers agreed on where those have
// one.
const (
	MaxSize   = 256 << 20 // bytes of the file
	MaxLocals = 50_000    // local variables of one function
)

var (
	// ErrMalformed is wrapped by errors about a file that is no module or not
	// a whole one.
	ErrMalformed = errors.New("not a whole WebAssembly module")
	// ErrLimit is wrapped by errors about a module over a limit.
	ErrLimit = errors.New("module exceeds a limit")
	// ErrMissingExport is wrapped by errors about a module that does not
	// export what its form needs.
	ErrMissingExport = errors.New("missing export")
)

// Check reads the module at path, which is meant to be of the given form, and
// returns an error unless it is whole, within the limits and exports all the
// names.
func Check(path, form string, exports ...string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("module (build the guest, or correct its path): %w", err)
	}
	if info.Size() > MaxSize {
		return fmt.Errorf("module %s: %w: it has %d bytes, at most %d are read", path, ErrLimit, info.Size(), MaxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("module: %w", err)
	}
	have, err := scan(b)
	if err != nil {
		return fmt.Errorf("module %s (build it again): %w", path, err)
	}
	for _, want := range exports {
		if !slices.Contains(have, want) {
			return fmt.Errorf("module %s: %w %q: a %s exports %s; it exports %s",
				path, ErrMissingExport, want, form, strings.Join(exports, ", "), strings.Join(have, ", "))
		}
	}
	return nil
}

var magic = []byte("\x00asm\x01\x00\x00\x00")

const (
	sectionExport = 7
	sectionCode   = 10
)

// scan walks the sections of a module and returns the names that it exports.
func scan(b []byte) (exports []string, err error) {
	rest, ok := bytes.CutPrefix(b, magic)
	if !ok {
		return nil, fmt.Errorf("%w: it begins with %q", ErrMalformed, b[:min(len(b), len(magic))])
	}
	r := &reader{bytes.NewReader(rest)}
	for r.Len() > 0 {
		id, err := r.ReadByte()
		if err != nil {
			return nil, malformed(err)
		}
		body, err := r.bytes()
		if err != nil {
			return nil, malformed(err)
		}
		section := &reader{bytes.NewReader(body)}
		switch id {
		case sectionExport:
			exports, err = section.exports()
		case sectionCode:
			err = section.code()
		}
		if err != nil {
			return nil, err
		}
	}
	return exports, nil
}

func malformed(err error) error { return fmt.Errorf("%w: %w", ErrMalformed, err) }

// reader reads what modules are made of.
type reader struct{ *bytes.Reader }

func (r *reader) u32() (uint32, error) {
	v, err := binary.ReadUvarint(r)
	if err == nil && v > 1<<32-1 {
		err = errors.New("a number exceeds 32 bits")
	}
	return uint32(v), err
}

// bytes reads a length and as many bytes.
func (r *reader) bytes() ([]byte, error) {
	n, err := r.u32()
	if err != nil {
		return nil, err
	}
	if int64(n) > int64(r.Len()) {
		return nil, fmt.Errorf("%d bytes are announced, %d are there: %w", n, r.Len(), io.ErrUnexpectedEOF)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return b, err
}

func (r *reader) exports() (names []string, err error) {
	n, err := r.u32()
	for range n {
		if err != nil {
			break
		}
		var name []byte
		if name, err = r.bytes(); err != nil {
			break
		}
		names = append(names, string(name))
		if _, err = r.ReadByte(); err == nil { // the kind
			_, err = r.u32() // the index
		}
	}
	if err != nil {
		return nil, malformed(err)
	}
	return names, nil
}

// code adds up the local variables that each function declares.
func (r *reader) code() error {
	functions, err := r.u32()
	if err != nil {
		return malformed(err)
	}
	for f := range functions {
		body, err := r.bytes()
		if err != nil {
			return malformed(err)
		}
		locals, err := (&reader{bytes.NewReader(body)}).locals()
		if err != nil {
			return malformed(err)
		}
		if locals > MaxLocals {
			return fmt.Errorf("%w: function %d of its own has %d local variables, at most %d are allowed", ErrLimit, f, locals, MaxLocals)
		}
	}
	return nil
}

func (r *reader) locals() (sum uint64, err error) {
	groups, err := r.u32()
	for range groups {
		if err != nil {
			break
		}
		var n uint32
		if n, err = r.u32(); err != nil {
			break
		}
		sum += uint64(n)
		_, err = r.ReadByte() // the type; a reference type's heap type may follow, but not in preview 1 guests
	}
	return sum, err
}
