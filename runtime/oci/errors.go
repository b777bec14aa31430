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

// WithLog adds to err what is left of a living guest's log, if anything.
func WithLog(err error, log string) error {
	if log == "" {
		return err
	}
	return fmt.Errorf("%w (the guest wrote %q)", err, log)
}

// ClassifyCreate wraps err in ErrCommand where the message, runc's own, says so.
func ClassifyCreate(err error, message string) error {
	for _, sign := range []string{"executable file not found", "no such file or directory", "permission denied", "exec format error"} {
		if strings.Contains(message, "exec") && strings.Contains(message, Entrypoint) && strings.Contains(message, sign) {
			return fmt.Errorf("%w%s: %w", ErrCommand, hint(message), err)
		}
	}
	return err
}

// ClassifyExit wraps e in ErrCommand where it was not the guest that ended but
// runc's init, which could not become the guest. That is found out too late for
// an error of runc's own, and said on the container's standard error.
func ClassifyExit(e *ExitError) error {
	if strings.HasPrefix(e.Stderr, initRefused) {
		return ClassifyCreate(e, e.Stderr)
	}
	return e
}

// initRefused begins what runc's init says of a command that is there and is
// refused by the kernel.
const initRefused = "exec " + Entrypoint + ": "

// hint says what the kernel means by a file that does not exist although runc
// has just seen it.
func hint(message string) string {
	if strings.Contains(message, initRefused+"no such file or directory") {
		return " (the interpreter that its first line or its program header names is missing from the image)"
	}
	if strings.Contains(message, "no such file or directory") || strings.Contains(message, "not found") {
		return " (the file is missing)"
	}
	return ""
}
