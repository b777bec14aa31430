//go:build !server && !cgi

package driver

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
)

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
		frame = answer(append(frame[:0], head[:]...), request)
		binary.LittleEndian.PutUint32(frame, uint32(len(frame)-len(head)))
		if _, err := w.Write(frame); err != nil {
			return err
		}
	}
}
