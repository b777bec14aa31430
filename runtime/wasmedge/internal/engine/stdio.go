//go:build cgo && wasmedge

package engine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// covered are the files that HideStandardFiles put others over. They are kept
// for ever: a file that nothing refers to is closed, and its descriptor, which
// every guest reads or writes, would become the next socket's.
var covered []*os.File

// HideStandardFiles moves the standard input and output of this process to
// other descriptors, which os.Stdin and os.Stdout then name. In their place a
// guest finds an empty input and, as its output, the standard error. Reactors
// need it: WasmEdge gives them the descriptors 0 and 1 of the process, on which
// a host and the harness talk.
func HideStandardFiles() error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	for _, s := range []struct {
		file  **os.File
		place *os.File
	}{{&os.Stdin, null}, {&os.Stdout, os.Stderr}} {
		name, at := (*s.file).Name(), int((*s.file).Fd())
		moved, err := unix.FcntlInt(uintptr(at), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("moving %s: %w", name, err)
		}
		if err := unix.Dup3(int(s.place.Fd()), at, 0); err != nil {
			return fmt.Errorf("covering %s: %w", name, err)
		}
		covered = append(covered, *s.file)
		*s.file = os.NewFile(uintptr(moved), name)
	}
	return nil
}
