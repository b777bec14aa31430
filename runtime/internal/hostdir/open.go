package hostdir

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Open opens dir as an engine does for a guest: engines themselves say little or
// nothing of one that they cannot open. The error names dir; it is a
// *runtime.Exhausted where this process may open no more files.
func Open(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err == nil {
		return root, nil
	}
	if err := Check(dir); err != nil {
		return nil, err
	}
	err = fmt.Errorf("the guest's directory: %w", err)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return nil, &runtime.Exhausted{
			What: "open files",
			Why:  "each instance has its directory open",
			Fix:  "raise ulimit -n, or fs.file-max where that is what is used up",
			Err:  err,
		}
	}
	return nil, err
}

// Opens returns the error of Open.
func Opens(dir string) error {
	root, err := Open(dir)
	if err != nil {
		return err
	}
	return root.Close()
}
