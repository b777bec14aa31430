package worker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

// connect returns a Conn and the guest's ends of its pipes.
func connect(t *testing.T) (c *worker.Conn, in, out *os.File) {
	t.Helper()
	in, hostIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	hostOut, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c = worker.New(hostIn, hostOut)
	t.Cleanup(func() { c.Close(); in.Close(); out.Close() })
	return c, in, out
}

func frame(s string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func TestExchange(t *testing.T) {
	c, in, out := connect(t)
	long := strings.Repeat("x", 1<<20)
	requests := []string{"a", "", long, "b"}
	go func() {
		io.WriteString(out, worker.Magic)
		for _, want := range requests {
			b := make([]byte, 4+len(want))
			io.ReadFull(in, b)
			// In two writes, so that the answer is read in parts.
			f := frame("<" + string(b[4:]) + ">")
			io.WriteString(out, f[:3])
			io.WriteString(out, f[3:])
		}
	}()
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		got, err := c.Call(t.Context(), []byte(r))
		if err != nil || string(got) != "<"+r+">" {
			t.Fatalf("answer of %d bytes, error %v, to a request of %d", len(got), err, len(r))
		}
	}
}

func TestHostileGuests(t *testing.T) {
	tests := []struct {
		name, writes string
		want         error
	}{
		{"no greeting", "", io.ErrUnexpectedEOF},
		{"half a greeting", "wb", io.ErrUnexpectedEOF},
		{"another program", "Hello, World!\n", worker.ErrProtocol},
		{"short text", "no", worker.ErrProtocol},
		{"no answer", worker.Magic, io.ErrUnexpectedEOF},
		{"half an answer", worker.Magic + frame("answer")[:7], io.ErrUnexpectedEOF},
		{"an answer too long to hold", worker.Magic + "\xff\xff\xff\xff", worker.ErrProtocol},
		{"more than the answer", worker.Magic + frame("answer") + "and more", worker.ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, out := connect(t)
			io.WriteString(out, tt.writes)
			out.Close()
			err := c.Ready(t.Context())
			if err == nil {
				_, err = c.Call(t.Context(), []byte("request"))
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestContextEndsAWait(t *testing.T) {
	why := errors.New("no patience")
	for _, greets := range []bool{false, true} {
		c, _, out := connect(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		if greets {
			io.WriteString(out, worker.Magic)
			if err := c.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		failed := make(chan error)
		go func() {
			if greets {
				_, err := c.Call(ctx, []byte("request"))
				failed <- err
			} else {
				failed <- c.Ready(ctx)
			}
		}()
		cancel(why)
		if err := <-failed; !errors.Is(err, why) {
			t.Errorf("error %v, want the context's cause", err)
		}
	}
}
