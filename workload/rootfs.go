package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// rootFS returns a directory with the form f of the guest as /guest and the
// directories that a container's mounts cover.
func (g *Guest) rootFS(ctx context.Context, f Form) (string, error) {
	if i, ok := interpreters[g.language]; ok {
		return g.scriptFS(ctx, i, f)
	}
	executable, err := g.Artifact(ctx, f)
	if err != nil {
		return "", err
	}
	return executableFS(ctx, executable)
}

// executableFS is rootFS for a program that needs no other file.
func executableFS(ctx context.Context, executable string) (string, error) {
	b, err := os.ReadFile(executable)
	if err != nil {
		return "", err
	}
	return cache.Make(ctx, "rootfs", cache.Key(modes, string(b)), func(dir string) error {
		if err := makeMountPoints(dir); err != nil {
			return err
		}
		guest := filepath.Join(dir, "guest")
		return errors.Join(os.WriteFile(guest, b, 0o755), os.Chmod(guest, 0o755))
	})
}

// scriptFS is rootFS for a guest whose interpreter is in its base.
func (g *Guest) scriptFS(ctx context.Context, i interpreter, f Form) (string, error) {
	dir, origin, err := g.Base(ctx)
	if err != nil {
		return "", err
	}
	program, info, err := i.in(dir)
	if err != nil {
		return "", &Unavailable{
			What: fmt.Sprintf("guest %s of workload %s in %s", g.language, g.name, origin),
			Why:  i.program + " is missing from the image",
			Fix:  "give an image that has " + i.program + " in /usr/local/bin or /usr/bin",
			Err:  err,
		}
	}
	line, err := i.shebang(program)
	if err != nil {
		return "", err
	}
	sources, err := sourceKey(i.sources)
	if err != nil {
		return "", err
	}
	key := cache.Key(modes, g.source(), string(f), line, sources, g.base.dir, info.ModTime().String(), strconv.FormatInt(info.Size(), 10))
	return cache.Make(ctx, "rootfs", key, func(to string) error {
		if err := makeMountPoints(to); err != nil {
			return err
		}
		script := filepath.Join(to, "guest")
		if g.language != Python {
			return errors.Join(i.writeNode(script, line, g.source(), f), os.Chmod(script, 0o755))
		}
		var python *exec.Cmd
		if g.base.dir == "" {
			python = inside(ctx, dir, program)
		}
		return i.writePython(script, line, g.source(), f, python)
	})
}

// modes is counted up when the same files have other modes, which do not depend on the
// umask.
const modes = "1"

// makeMountPoints makes them in root, which all may enter then.
func makeMountPoints(root string) error {
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"dev", "proc", "sys", "tmp"} {
		d = filepath.Join(root, d)
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			return err
		}
	}
	return nil
}

// in finds the interpreter below root, where a link leads to what it does in a
// container, never out of root. It returns the path there.
func (i interpreter) in(root string) (string, fs.FileInfo, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	for _, dir := range []string{"/usr/local/bin", "/usr/bin"} {
		program := path.Join(dir, i.program)
		at, info, err := follow(r, program)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return at, info, nil
		}
	}
	return "", nil, &fs.PathError{Op: "find", Path: i.program, Err: fs.ErrNotExist}
}

// follow returns where the links at an absolute path below r end.
func follow(r *os.Root, at string) (string, fs.FileInfo, error) {
	for range 16 {
		info, err := r.Lstat(at[1:])
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			return at, info, err
		}
		to, err := r.Readlink(at[1:])
		if err != nil {
			return "", nil, err
		}
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(at), to)
		}
		at = path.Clean(to)
	}
	return "", nil, &fs.PathError{Op: "follow", Path: at, Err: fs.ErrInvalid}
}
