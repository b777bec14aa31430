package enginehost

import (
	"fmt"
	"os"
)

// CheckDir returns an error that names dir unless it is "" or a directory, which
// an engine can give to guests. Engines themselves say little or nothing of one
// that they cannot open.
func CheckDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("the guest's directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the guest's directory: %s is a file: name a directory", dir)
	}
	return nil
}
