package docker

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// A stream is a container's standard input and output, which the daemon sends
// through one connection. Output and error come interleaved; that one of them
// has ended is told only when both have.
//
// The output of a worker is separated from its log by whoever waits for an
// answer: there is no pipe between, which would take files and time, and could
// be full of what nobody reads. Between calls it may write as much as there is
// room for on the way, and then waits. All that a server writes is log.
type stream struct {
	attached client.ContainerAttachResult
	out      frames
	log      excerpt.Writer // what is not for conn
	conn     *worker.Conn   // of a worker

	collecting sync.Once
	read       chan struct{} // closed at the end of the output, once collect has been called
}

// openStream attaches to a container that is not running yet.
func openStream(ctx context.Context, c *client.Client, container string, works bool) (*stream, error) {
	attached, err := c.ContainerAttach(ctx, container, client.ContainerAttachOptions{Stream: true, Stdin: works, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	s := &stream{attached: attached, read: make(chan struct{})}
	s.out = frames{in: attached.Reader, log: &s.log}
	if works {
		s.conn = worker.New(input{&s.attached}, output{s})
	} else {
		s.collect()
	}
	return s, nil
}

// collect has the log read to its end, and the answers that nobody waits for any
// more. From now on conn does not read.
func (s *stream) collect() {
	s.collecting.Do(func() {
		go func() {
			defer close(s.read)
			if s.conn != nil {
				io.Copy(io.Discard, &s.out)
			} else {
				io.Copy(&s.log, &s.out)
			}
		}()
	})
}

// input is a container's standard input, which can be ended alone.
type input struct{ attached *client.ContainerAttachResult }

func (i input) Write(p []byte) (int, error)        { return i.attached.Conn.Write(p) }
func (i input) SetWriteDeadline(t time.Time) error { return i.attached.Conn.SetWriteDeadline(t) }
func (i input) Close() error                       { return i.attached.CloseWrite() }

// output is a container's standard output, which ends with the connection.
type output struct{ stream *stream }

func (o output) Read(p []byte) (int, error)        { return o.stream.out.Read(p) }
func (o output) SetReadDeadline(t time.Time) error { return o.stream.attached.Conn.SetReadDeadline(t) }
func (o output) Close() error                      { return o.stream.attached.Conn.Close() }

// endInput ends the container's input. What it still writes is not waited for.
func (s *stream) endInput() {
	s.attached.CloseWrite()
	s.collect()
}

// refuse makes writing to the container fail from now on.
func (s *stream) refuse() { s.attached.Conn.SetWriteDeadline(time.Unix(1, 0)) }

// Close ends the connection and waits until nothing is read any more.
func (s *stream) Close() {
	s.attached.Close()
	s.collect()
	<-s.read
}

// frames reads what a guest writes to its standard output. What is between goes
// to the log.
//
// Each frame has a header of eight bytes, of which the first says where it comes
// from and the last four how long it is, the most significant first.
type frames struct {
	in  io.Reader
	log io.Writer

	header [8]byte
	have   int   // bytes of the next header
	left   int64 // bytes of the frame
}

// Read returns io.EOF at the end of a frame only.
func (f *frames) Read(p []byte) (int, error) {
	for {
		switch {
		case f.left == 0:
			if err := f.next(); err != nil {
				return 0, err
			}
		case stdcopy.StdType(f.header[0]) == stdcopy.Stdout:
			n, err := f.in.Read(p[:min(int64(len(p)), f.left)])
			f.left -= int64(n)
			if err == io.EOF && f.left > 0 {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		default:
			n, err := io.CopyN(f.log, f.in, f.left)
			f.left -= n
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return 0, err
			}
		}
	}
}

// next reads a header, which a deadline may have interrupted.
func (f *frames) next() error {
	for f.have < len(f.header) {
		n, err := f.in.Read(f.header[f.have:])
		f.have += n
		if err == io.EOF && f.have > 0 && f.have < len(f.header) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && f.have < len(f.header) {
			return err
		}
	}
	f.have = 0
	f.left = int64(binary.BigEndian.Uint32(f.header[4:]))
	return nil
}
