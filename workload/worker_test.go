package workload_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// A conversation is a guest that runs as a worker.
type conversation struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

// converse starts a worker, in its directory where it is Mounted, and reads that it
// is ready. Where blocking is not set its pipes do not block, as those of a
// container may not.
func converse(t *testing.T, w workload.Workload, blocking bool) *conversation {
	t.Helper()
	path, err := w.Artifact(t.Context(), workload.Executable)
	skip(t, err)
	c := &conversation{t: t, cmd: exec.CommandContext(t.Context(), path)}
	if m, ok := w.(workload.Mounted); ok {
		c.cmd.Dir = m.Mount()
	}
	c.cmd.Stderr = new(strings.Builder)
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdin, c.cmd.Stdout, c.in, c.out = theirIn, theirOut, in, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{theirIn, theirOut} {
		// The child has the same open file, which to start it made blocking.
		if err := syscall.SetNonblock(int(f.Fd()), !blocking); err != nil {
			t.Fatal(err)
		}
	}
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() {
		in.Close()
		out.Close()
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	magic := make([]byte, 4)
	if _, err := io.ReadFull(c.out, magic); err != nil || string(magic) != "wb1\n" {
		t.Fatalf("the worker says %q, %v", magic, err)
	}
	return c
}

func (c *conversation) ask(request []byte) []byte {
	c.t.Helper()
	go c.in.Write(frame(request))
	var size uint32
	if err := binary.Read(c.out, binary.LittleEndian, &size); err != nil {
		c.t.Fatalf("reading the length: %v; %s", err, c.cmd.Stderr)
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(c.out, answer); err != nil {
		c.t.Fatalf("reading the answer: %v", err)
	}
	return answer
}

func frame(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestWorkers(t *testing.T) {
	for _, l := range workload.Languages() {
		t.Run(string(l), func(t *testing.T) {
			for _, w := range catalogue(t, l) {
				c := converse(t, w, true)
				for range 3 {
					if err := w.Check(c.ask(w.Request())); err != nil {
						t.Error(err)
					}
				}
				c.in.Close()
				if rest, err := io.ReadAll(c.out); len(rest) != 0 || err != nil {
					t.Errorf("%s: after its input it writes %q, %v", w.Name(), rest, err)
				}
				if err := c.cmd.Wait(); err != nil {
					t.Errorf("%s does not end well with its input: %v, %s", w.Name(), err, c.cmd.Stderr)
				}
			}
		})
	}
}

func TestWorkerFrames(t *testing.T) {
	for _, l := range workload.Languages() {
		for _, blocking := range []bool{true, false} {
			if !blocking && l == workload.C {
				continue // takes only pipes that block
			}
			t.Run(fmt.Sprintf("%s/blocking=%v", l, blocking), func(t *testing.T) {
				c := converse(t, workload.Hello(l), blocking)
				for _, size := range []int{0, 1, 507, 508, 509, 4096, 1 << 16, 1<<16 + 1, 3 << 20, 5} {
					name := bytes.Repeat([]byte{'x', 0, 0xff, '\n'}, size/4+1)[:size]
					if got := c.ask(name); string(got) != "Hello, "+string(name)+"!" {
						t.Fatalf("a name of %d bytes: the answer has %d bytes", size, len(got))
					}
				}
				// Frames need not come one by one, nor whole.
				both := append(frame([]byte("first")), frame([]byte("second"))...)
				for i := range both {
					if _, err := c.in.Write(both[i : i+1]); err != nil {
						t.Fatal(err)
					}
				}
				want := append(frame([]byte("Hello, first!")), frame([]byte("Hello, second!"))...)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(c.out, got); err != nil || !bytes.Equal(got, want) {
					t.Errorf("two frames by the byte: %q, %v", got, err)
				}
			})
		}
	}
}

func TestWorkerWhoseInputBreaksOff(t *testing.T) {
	for _, l := range workload.Languages() {
		for name, input := range map[string]string{"length": "\x05\x00", "request": "\x05\x00\x00\x00abc"} {
			t.Run(string(l)+"/"+name, func(t *testing.T) {
				c := converse(t, workload.Hello(l), true)
				io.WriteString(c.in, input)
				c.in.Close()
				if rest, _ := io.ReadAll(c.out); len(rest) != 0 {
					t.Errorf("it answers %q", rest)
				}
				if err := c.cmd.Wait(); err == nil {
					t.Error("it ends as if all were well")
				}
			})
		}
	}
}

// What is no number, or too large a one, is answered, not computed.
func TestFibonacciOfWhatItCannotCompute(t *testing.T) {
	for l, requests := range map[workload.Language][]string{
		workload.Go: {"ten"}, workload.Python: {"ten", "\xff"},
		workload.Node: {"ten", "", "79", "1e1"}, workload.NodeJitless: {"79"},
	} {
		t.Run(string(l), func(t *testing.T) {
			w, err := workload.Fibonacci(l, 10)
			if err != nil {
				t.Fatal(err)
			}
			c := converse(t, w, true)
			for _, r := range requests {
				if a := c.ask([]byte(r)); len(a) < 10 {
					t.Errorf("%q is answered %q, which is no complaint", r, a)
				}
			}
			if err := w.Check(c.ask(w.Request())); err != nil {
				t.Error(err)
			}
		})
	}
}
