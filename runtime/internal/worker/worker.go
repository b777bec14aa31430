// Package worker speaks the worker protocol from the harness's side.
//
// A worker is a guest with a request on its standard input and an answer on its
// standard output. When it is ready it writes the four bytes of Magic. Then, for
// every request, it reads a frame and writes a frame, until its input ends. A
// frame is a length in four bytes, the least significant first, and as many
// bytes.
package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Magic is what a worker writes when it is ready.
const Magic = "wb1\n"

// MaxFrame is the longest answer that is accepted, in bytes: a guest cannot
// make the harness hold more.
const MaxFrame = 64 << 20

// ErrProtocol is wrapped by the errors about a guest that is no worker.
var ErrProtocol = errors.New("guest does not speak the worker protocol")

// A Writer is the way to a guest's standard input, such as a pipe.
type Writer interface {
	io.WriteCloser
	SetWriteDeadline(time.Time) error
}

// A Reader is the way from a guest's standard output.
type Reader interface {
	io.ReadCloser
	SetReadDeadline(time.Time) error
}

// A Conn is the harness's end of a worker's pipes. It is for one goroutine at
// a time, save for Close.
type Conn struct {
	in  Writer // the guest reads
	out Reader // the guest writes
	buf []byte
	req []byte
}

// New returns a Conn on the write end of a worker's input and the read end of
// its output.
func New(in Writer, out Reader) *Conn { return &Conn{in: in, out: out, buf: make([]byte, 4096)} }

// Ready waits until the worker says that it is ready.
func (c *Conn) Ready(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	defer c.watch(ctx)()
	n, err := io.ReadFull(c.out, c.buf[:len(Magic)])
	if got := string(c.buf[:n]); got != Magic[:n] {
		return fmt.Errorf("%w: it wrote %q where %q was expected", ErrProtocol, got, Magic)
	}
	if err != nil {
		return c.failed(ctx, "waiting until the guest is ready", err)
	}
	return nil
}

// Call exchanges one request for an answer, valid until the next Call.
func (c *Conn) Call(ctx context.Context, request []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(request) > MaxFrame {
		return nil, fmt.Errorf("the request has %d bytes, more than the %d of a frame", len(request), MaxFrame)
	}
	defer c.watch(ctx)()
	c.req = binary.LittleEndian.AppendUint32(c.req[:0], uint32(len(request)))
	c.req = append(c.req, request...)
	if _, err := c.in.Write(c.req); err != nil {
		return nil, c.failed(ctx, "sending the request", err)
	}
	have := 0
	for have < 4 {
		n, err := c.out.Read(c.buf[have:])
		have += n
		if err != nil && have < 4 {
			return nil, c.failed(ctx, "reading the answer", err)
		}
	}
	size := int(binary.LittleEndian.Uint32(c.buf))
	if size > MaxFrame {
		return nil, fmt.Errorf("%w: it announced an answer of %d bytes, more than %d", ErrProtocol, size, MaxFrame)
	}
	if 4+size > len(c.buf) {
		grown := make([]byte, 4+size)
		copy(grown, c.buf[:have])
		c.buf = grown
	}
	if have < 4+size {
		if _, err := io.ReadFull(c.out, c.buf[have:4+size]); err != nil {
			return nil, c.failed(ctx, "reading the answer", err)
		}
		have = 4 + size
	}
	if have > 4+size {
		return nil, fmt.Errorf("%w: %d bytes follow its answer", ErrProtocol, have-4-size)
	}
	return c.buf[4 : 4+size], nil
}

// Close closes both ways, at which a worker ends by itself.
func (c *Conn) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

// watch makes reads and writes fail once ctx has ended. The function that it
// returns stops watching and leaves no deadline behind.
func (c *Conn) watch(ctx context.Context) func() {
	if ctx.Done() == nil {
		return func() {}
	}
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.setDeadline(time.Unix(1, 0))
		close(set)
	})
	return func() {
		if !stop() {
			<-set
			c.setDeadline(time.Time{})
		}
	}
}

func (c *Conn) setDeadline(t time.Time) {
	c.in.SetWriteDeadline(t)
	c.out.SetReadDeadline(t)
}

// failed words err, naming the context's cause where that is what ended it.
func (c *Conn) failed(ctx context.Context, doing string, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = cause
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s: %w", doing, err)
}
