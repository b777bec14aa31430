// Package driver connects a guest written in Go, one function from request
// bytes to answer bytes, to the harness: as a worker on standard input and
// output, and with the build tag reactor as exported functions.
package driver

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
)

var answer func(request []byte) []byte

// Register names the guest's function. It is called from an init function, for
// the main function of a reactor never runs. An answer need not outlive the
// next call.
func Register(f func(request []byte) []byte) { answer = f }

// Main serves requests from standard input until it ends. It is the whole of a
// guest's main function.
func Main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		os.Stderr.WriteString("worker: " + err.Error() + "\n")
		os.Exit(1)
	}
}

func serve(r io.Reader, w io.Writer) error {
	if _, err := io.WriteString(w, "wb1\n"); err != nil {
		return err
	}
	in := bufio.NewReader(r)
	var head [4]byte
	var request, frame []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		request = room(request, int(binary.LittleEndian.Uint32(head[:])))
		if _, err := io.ReadFull(in, request); err != nil {
			return err
		}
		a := answer(request)
		frame = binary.LittleEndian.AppendUint32(frame[:0], uint32(len(a)))
		if _, err := w.Write(append(frame, a...)); err != nil {
			return err
		}
	}
}

// room returns b with length n, with new memory where it is too short.
func room(b []byte, n int) []byte {
	if n > cap(b) {
		return make([]byte, n)
	}
	return b[:n]
}
