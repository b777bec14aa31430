// Package files has what the guests share that have files: reads and writes that
// are complete, and errors that tell how far they came. The errors of a file's own
// methods it leaves as they are but for the path, which a guest's request has.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Failed returns the error that something was not done to a file, or nil where err
// is.
func Failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, cause(err))
}

// cause returns what the system said, without the operation and the path that
// package os puts before it.
func cause(err error) error {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// WriteAt writes b to a file to which a request wrote so many bytes before.
func WriteAt(f *os.File, b []byte, at, written int64) error {
	n, err := f.WriteAt(b, at)
	if err != nil {
		return fmt.Errorf("writing %s: %w after %d bytes", f.Name(), cause(err), written+int64(n))
	}
	return nil
}

// ReadAt fills b; that the file is too short for that is an error.
func ReadAt(f *os.File, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if err == io.EOF {
		return fmt.Errorf("reading %s: short: %d of %d bytes at %d", f.Name(), n, len(b), at)
	}
	return Failed("reading", f.Name(), err)
}
