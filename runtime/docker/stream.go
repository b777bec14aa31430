package docker

import (
	"context"
	"io"
	"net"
	"time"

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
	conn     *worker.Conn   // of a worker
}

// openStream attaches to a container that is not running yet. The output of a
// worker is separated from its log; all that a server writes is log.
//
// The daemon puts headers between what the guest writes, so a worker is heard
// through a pipe. That is one of this process, which takes no file.
func openStream(ctx context.Context, c *client.Client, container string, works bool) (*stream, error) {
	attached, err := c.ContainerAttach(ctx, container, client.ContainerAttachOptions{Stream: true, Stdin: works, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	s := &stream{attached: attached, read: make(chan struct{})}
	var out io.Writer = &s.log
	end := func() error { return nil }
	if works {
		near, far := net.Pipe()
		s.conn = worker.New(input{&s.attached}, near)
		out, end = far, far.Close
	}
	go func() {
		defer close(s.read)
		defer end()
		stdcopy.StdCopy(out, &s.log, attached.Reader)
	}()
	return s, nil
}

// input is a container's standard input, which can be ended alone.
type input struct{ attached *client.ContainerAttachResult }

func (i input) Write(p []byte) (int, error)        { return i.attached.Conn.Write(p) }
func (i input) SetWriteDeadline(t time.Time) error { return i.attached.Conn.SetWriteDeadline(t) }
func (i input) Close() error                       { return i.attached.CloseWrite() }

// endInput ends the container's input.
func (s *stream) endInput() { s.attached.CloseWrite() }

// refuse makes writing to the container fail from now on.
func (s *stream) refuse() { s.attached.Conn.SetWriteDeadline(time.Unix(1, 0)) }

// Close ends the connection and waits until nothing is copied any more.
func (s *stream) Close() {
	s.attached.Close()
	if s.conn != nil {
		s.conn.Close()
	}
	<-s.read
}
