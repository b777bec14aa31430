package containerd

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// stdio is the harness's end of the FIFOs between it and a shim.
type stdio struct {
	dir          string
	in, out, err *os.File
	conn         *worker.Conn   // nil for a server, which has no input
	log          excerpt.Writer // a worker's standard error, all of a server's output
	read         chan struct{}  // closed at the end of the log
}

// path returns the path of the FIFO called name, or "" for an input that is not
// there.
func (s *stdio) path(name string) string {
	if name == "in" && s.in == nil {
		return ""
	}
	return filepath.Join(s.dir, name)
}

// openStdio makes the FIFOs in dir. The input is opened for reading too, so
// that it can be opened before the shim has.
func openStdio(dir string, serves bool) (_ *stdio, err error) {
	s := &stdio{dir: dir, read: make(chan struct{})}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		file **os.File
		flag int
	}{{"in", &s.in, os.O_RDWR}, {"out", &s.out, os.O_RDONLY}, {"err", &s.err, os.O_RDONLY}} {
		if serves && f.name == "in" {
			continue
		}
		path := filepath.Join(dir, f.name)
		err := unix.Mkfifo(path, 0o600)
		if err == nil {
			*f.file, err = os.OpenFile(path, f.flag|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if !serves {
		s.conn = worker.New(s.in, s.out)
	}
	return s, nil
}

// collect reads the log. It is called once the shim has opened the FIFOs:
// before, they are at their end.
func (s *stdio) collect() {
	logs := []*os.File{s.err}
	if s.conn == nil {
		logs = append(logs, s.out)
	}
	var all sync.WaitGroup
	for _, f := range logs {
		all.Go(func() { io.Copy(&s.log, f) })
	}
	go func() {
		all.Wait()
		close(s.read)
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
