package containerd

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// stdio is the harness's end of the FIFOs between it and a shim.
type stdio struct {
	dir          string
	in, out, err *os.File
	conn         *worker.Conn
	stderr       excerpt.Writer
	read         chan struct{} // closed at the end of the guest's standard error
}

func (s *stdio) path(name string) string { return filepath.Join(s.dir, name) }

// openStdio makes the FIFOs in dir. The input is opened for reading too, so
// that it can be opened before the shim has.
func openStdio(dir string) (_ *stdio, err error) {
	s := &stdio{dir: dir, read: make(chan struct{})}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		file **os.File
		flag int
	}{{"in", &s.in, os.O_RDWR}, {"out", &s.out, os.O_RDONLY}, {"err", &s.err, os.O_RDONLY}} {
		err := unix.Mkfifo(s.path(f.name), 0o600)
		if err == nil {
			*f.file, err = os.OpenFile(s.path(f.name), f.flag|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.conn = worker.New(s.in, s.out)
	return s, nil
}

// collect reads the guest's standard error. It is called once the shim has
// opened the FIFOs: before, they are at their end.
func (s *stdio) collect() {
	go func() {
		defer close(s.read)
		io.Copy(&s.stderr, s.err)
	}()
}

// Close closes and removes the FIFOs.
func (s *stdio) Close() error {
	for _, f := range []*os.File{s.in, s.out, s.err} {
		if f != nil {
			f.Close()
		}
	}
	return os.RemoveAll(s.dir)
}
