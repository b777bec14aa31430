//go:build cgi

package driver

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// Main answers the one request on standard input. It is the whole of a guest's
// main function.
func Main() {
	if err := respond(os.Stdin, os.Stdout, os.Getenv("CONTENT_LENGTH")); err != nil {
		os.Stderr.WriteString("cgi: " + err.Error() + "\n")
		os.Exit(1)
	}
}

// respond reads a body of length bytes, none where length is empty.
func respond(r io.Reader, w io.Writer, length string) error {
	var request []byte
	if length != "" {
		n, err := strconv.ParseUint(length, 10, 31)
		if err != nil {
			return fmt.Errorf("CONTENT_LENGTH: %w", err)
		}
		request = make([]byte, n)
	}
	if _, err := io.ReadFull(r, request); err != nil {
		return err
	}
	_, err := w.Write(answer([]byte("Content-Type: application/octet-stream\n\n"), request))
	return err
}
