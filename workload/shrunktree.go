package workload

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/linked"
)

// accounts returns a base that has nothing but users and groups: a static program needs
// not even these, but is run by one of them.
func accounts(ctx context.Context) (base, error) {
	return derive(ctx, "users and groups", []string{"accounts", fmt.Sprint(written)}, func(root string) error {
		etc := filepath.Join(root, "etc")
		if err := errors.Join(os.Mkdir(etc, 0o755), os.Chmod(etc, 0o755)); err != nil {
			return err
		}
		return writeAll(root, written)
	})
}

// derivation is counted up when another tree is derived of the same parts.
const derivation = "1"

// derive returns a base of what fill makes, which parts decide, and which has modes that
// do not depend on the umask. In its origin its size follows content.
func derive(ctx context.Context, content string, parts []string, fill func(root string) error) (base, error) {
	key := cache.Key(append([]string{recipe, derivation, content}, parts...)...)
	entry, err := cache.Make(ctx, "base", key, func(dir string) error {
		root := filepath.Join(dir, "rootfs")
		if err := errors.Join(os.Mkdir(root, 0o755), os.Chmod(root, 0o755)); err != nil {
			return err
		}
		if err := fill(root); err != nil {
			return err
		}
		if err := settle(root, time.Time{}); err != nil {
			return err
		}
		size, err := cache.Size(root)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "origin"), fmt.Appendf(nil, "%s, %d MB", content, size/1e6), 0o644)
	})
	if err != nil {
		return base{}, err
	}
	origin, err := os.ReadFile(filepath.Join(entry, "origin"))
	return base{dir: filepath.Join(entry, "rootfs"), origin: string(origin)}, err
}

// of returns what b has in it, without its size.
func (b base) of() string {
	if i := strings.LastIndex(b.origin, ", "); i >= 0 {
		return b.origin[:i]
	}
	return b.origin
}

// identity tells b apart from a base that was in the same directory before.
func (b base) identity() (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(b.dir, &stat); err != nil {
		return "", &fs.PathError{Op: "stat", Path: b.dir, Err: err}
	}
	return fmt.Sprint(b.dir, stat.Ino, stat.Ctim), nil
}

// alone returns a base with the interpreter of b and the files that it needs.
func (i interpreter) alone(ctx context.Context, b base) (base, error) {
	program, info, err := i.in(b.dir)
	if err != nil {
		return base{}, err
	}
	identity, err := b.identity()
	if err != nil {
		return base{}, err
	}
	parts := []string{identity, info.ModTime().String(), fmt.Sprint(info.Size())}
	return derive(ctx, i.program+" and what it needs of "+b.of(), parts, func(root string) error {
		files, err := i.needs(ctx, b.dir, program)
		if err != nil {
			return err
		}
		from, err := os.OpenRoot(b.dir)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := os.OpenRoot(root)
		if err != nil {
			return err
		}
		defer to.Close()
		for _, f := range files {
			if err := carry(from, to, f); err != nil {
				return fmt.Errorf("taking %s from %s: %w", f, b.dir, err)
			}
		}
		return nil
	})
}

// compiledIn prints which files Debian's Node.js reads in place of modules that are in
// the program of its authors.
const compiledIn = `const d = process.config.target_defaults?.defines ?? [];
for (const [, f] of d.map((d) => /^NODE_SHARED_BUILTIN_\w+=(\/.*)$/.exec(d) ?? []))
	if (f) console.log(f);`

// needs returns the files below root without which Node.js at program does not start.
func (i interpreter) needs(ctx context.Context, root, program string) ([]string, error) {
	linker, err := linkerOf(root, program)
	if err != nil {
		return nil, err
	}
	files := []string{program, "/etc/passwd", "/etc/group"}
	if linker != "" {
		trace := inside(ctx, root, linker, program)
		trace.Env = append(trace.Env, linked.Trace)
		listed, err := output(trace)
		if err != nil {
			return nil, err
		}
		libraries, err := linked.Libraries(string(listed))
		if err != nil {
			return nil, err
		}
		files = append(append(files, linker), libraries...)
	}
	modules, err := output(inside(ctx, root, program, "-e", compiledIn))
	return append(files, strings.Fields(string(modules))...), err
}

// linkerOf returns the dynamic linker of the program below root.
func linkerOf(root, program string) (string, error) {
	f, err := os.OpenInRoot(root, program[1:])
	if err != nil {
		return "", err
	}
	defer f.Close()
	return linked.Linker(f)
}

// carry copies the file at an absolute path, with the links that lead to it and the modes
// that it and its directories have.
func carry(from, to *os.Root, name string) error {
	at, rest := ".", elements(name)
	for links := 0; len(rest) > 0; {
		at, rest = path.Join(at, rest[0]), rest[1:]
		info, err := from.Lstat(at)
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case fs.ModeDir:
			if err = to.Mkdir(at, 0o700); err == nil {
				err = to.Chmod(at, info.Mode().Perm())
			}
		case fs.ModeSymlink:
			if links++; links > 16 {
				return &fs.PathError{Op: "follow", Path: name, Err: fs.ErrInvalid}
			}
			var target string
			if target, err = from.Readlink(at); err != nil {
				return err
			}
			err = to.Symlink(target, at)
			if !path.IsAbs(target) {
				target = path.Join("/", path.Dir(at), target)
			}
			at, rest = ".", slices.Concat(elements(target), rest)
		case 0:
			err = copyFile(from, to, at, info.Mode().Perm())
		default:
			err = &fs.PathError{Op: "copy", Path: at, Err: fs.ErrInvalid}
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// elements are the names in an absolute path.
func elements(name string) []string {
	return strings.FieldsFunc(path.Clean(name), func(r rune) bool { return r == '/' })
}

// copyFile copies a file that is not there yet.
func copyFile(from, to *os.Root, name string, perm fs.FileMode) error {
	r, err := from.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.ReadFrom(r)
	return errors.Join(err, w.Chmod(perm), w.Close())
}

// strip returns b with every ELF file stripped.
func strip(ctx context.Context, b base) (base, error) {
	tool, err := exec.LookPath("strip")
	if err != nil {
		return base{}, &Unavailable{What: "strip", Why: "it is not on PATH", Fix: "apt-get install binutils", Err: err}
	}
	version, err := firstLine(ctx, tool, "--version")
	if err != nil {
		return base{}, err
	}
	identity, err := b.identity()
	if err != nil {
		return base{}, err
	}
	return derive(ctx, b.of()+", stripped", []string{identity, version}, func(root string) error {
		if err := os.CopyFS(root, os.DirFS(b.dir)); err != nil {
			return err
		}
		files, err := programs(root)
		if err != nil {
			return err
		}
		if len(files) > 0 {
			_, err = output(exec.CommandContext(ctx, tool, append([]string{"--strip-all", "--"}, files...)...))
		}
		if err != nil {
			return unlessEnded(ctx, err, func(err error) error {
				return &Unavailable{What: "step " + string(StepStrip), Why: "strip does not take the distribution's files", Fix: "install the distribution's binutils", Err: err}
			})
		}
		return takeModes(b.dir, root)
	})
}

// takeModes gives all below root the mode that it has below from. os.CopyFS keeps none
// but who may execute a file.
func takeModes(from, root string) error {
	return filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || file == root || e.Type() == fs.ModeSymlink {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		info, err := os.Lstat(filepath.Join(from, rel))
		if err != nil {
			return err
		}
		return os.Chmod(file, info.Mode().Perm())
	})
}

// programs returns the ELF files below root.
func programs(root string) (files []string, err error) {
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		head := make([]byte, len(elf.ELFMAG))
		if n, _ := f.ReadAt(head, 0); string(head[:n]) == elf.ELFMAG {
			files = append(files, file)
		}
		return nil
	})
	return files, err
}
