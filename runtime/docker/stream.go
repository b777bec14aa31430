package docker

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// A stream is a container's standard input and output, which the daemon sends
// through one connection. Output and error come interleaved; that one of them
// has ended is told only when both have.
type stream struct {
	attached client.ContainerAttachResult
	log      excerpt.Writer // what is not for conn
	read     chan struct{}  // closed at the end of the output

	// Of a worker:
	in, out *os.File
	conn    *worker.Conn
	sent    chan struct{} // closed when in has been copied to its end
}

// openStream attaches to a container that is not running yet. The output of a
// worker is separated from its log; all that a server writes is log.
func openStream(ctx context.Context, c *client.Client, container string, worker bool) (*stream, error) {
	attached, err := c.ContainerAttach(ctx, container, client.ContainerAttachOptions{Stream: true, Stdin: worker, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	s := &stream{attached: attached, read: make(chan struct{})}
	if !worker {
		go func() {
			defer close(s.read)
			stdcopy.StdCopy(&s.log, &s.log, attached.Reader)
		}()
		return s, nil
	}
	if err := s.bridge(); err != nil {
		attached.Close()
		return nil, err
	}
	return s, nil
}

// bridge connects a worker's conn with the connection by pipes, for the daemon
// puts headers between what the guest writes. The two hops take an eighth of a
// call, about 20 µs; most of it passes in the daemon and its shim.
func (s *stream) bridge() error {
	inRead, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, outWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inRead.Close(), in.Close())
	}
	s.in, s.out, s.conn, s.sent = in, out, worker.New(in, out), make(chan struct{})
	go func() {
		defer close(s.sent)
		defer inRead.Close()
		io.Copy(s.attached.Conn, inRead)
		s.attached.CloseWrite()
	}()
	go func() {
		defer close(s.read)
		defer outWrite.Close()
		stdcopy.StdCopy(outWrite, &s.log, s.attached.Reader)
	}()
	return nil
}

// endInput ends a worker's input.
func (s *stream) endInput() {
	if s.in != nil {
		s.in.Close()
	}
}

// Close ends the connection and waits until nothing is copied any more.
func (s *stream) Close() {
	s.attached.Close()
	if s.conn != nil {
		s.conn.Close()
		<-s.sent
	}
	<-s.read
}
