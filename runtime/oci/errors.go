package oci

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrCommand is wrapped by the error of a start whose image lacks
	// Entrypoint, or has something there that cannot be executed.
	ErrCommand = errors.New("the image's command cannot be executed")
	// ErrImage is wrapped by the error about an image that cannot be read.
	ErrImage = errors.New("the image cannot be read")
)

// An ExitError tells of a guest that ended although nobody had asked it to.
type ExitError struct {
	Status int    // the exit status, or -1 where the runtime does not tell
	Stderr string // an excerpt of what the guest wrote to its standard error
	Err    error  // what this interrupted
}

func (e *ExitError) Error() string {
	s := "the guest ended"
	if e.Status >= 0 {
		s = fmt.Sprintf("the guest ended with status %d", e.Status)
	}
	if e.Status == 137 {
		s += " (killed)"
	}
	if e.Stderr != "" {
		s += fmt.Sprintf(" and wrote %q", e.Stderr)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns what the end of the guest interrupted.
func (e *ExitError) Unwrap() error { return e.Err }

// ClassifyCreate wraps err in ErrCommand where the message, runc's own, says so.
func ClassifyCreate(err error, message string) error {
	for _, sign := range []string{"executable file not found", "no such file or directory", "permission denied", "exec format error"} {
		if strings.Contains(message, "exec") && strings.Contains(message, Entrypoint) && strings.Contains(message, sign) {
			return fmt.Errorf("%w: %w", ErrCommand, err)
		}
	}
	return err
}
