package workload

import (
	"context"
	"os"
)

// Made tells whether the step is made in the form.
func (s *Shrunk) Made(f Form) bool { return s.made(f) }

// Accounts returns the base that has users and groups alone.
func Accounts(ctx context.Context) (string, error) {
	b, err := accounts(ctx)
	return b.dir, err
}

// ExecutableFS returns the root file system of a program.
var ExecutableFS = executableFS

// Carry copies a file from one directory to another with the links that lead to it.
func Carry(from, to, name string) error {
	f, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer t.Close()
	return carry(f, t, name)
}

// Strip returns a directory like dir, with every ELF file in it stripped.
func Strip(ctx context.Context, dir, origin string) (string, string, error) {
	b, err := strip(ctx, base{dir, origin})
	return b.dir, b.origin, err
}
