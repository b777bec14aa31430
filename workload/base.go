package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// recipe is counted up when plan.build makes another base of the same packages.
const recipe = "2"

// A base is a root file system that guests share.
type base struct {
	dir    string
	origin string // what is in it and whence, in a line
}

// The packages in every base: the directories and the licences of the
// distribution, and the dynamic linker's cache with the locale C.UTF-8.
var commonPackages = []string{"base-files", "libc-bin"}

// What an image that is meant to be small leaves out, as dpkg's options.
var leftOut = []string{
	"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
	"path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*",
	"path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/lintian/*",
	"path-exclude=/usr/share/bash-completion/*", "path-exclude=/usr/share/gdb/*",
}

// What mmdebstrap leaves of the host, of apt and of itself: nodes that no image can have,
// the host's name and its resolver, where packages came from and how. A whole
// distribution keeps its apt, without the lists, as any image of one does.
var (
	removed = []string{
		"dev/*", "etc/apt", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/hostname", "etc/resolv.conf",
		"var/cache/*", "var/lib/apt", "var/log/*",
	}
	removedWhole = []string{
		"dev/*", "etc/apt/sources.list", "etc/apt/sources.list.d/*", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/hostname", "etc/resolv.conf",
		"var/cache/*", "var/lib/apt/lists/*", "var/log/*",
	}
)

// written are the files that the scripts of packages would have made.
var written = map[string]string{
	"etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"etc/group":  "root:x:0:\nnogroup:x:65534:\n",
}

// A plan says of what a base is made.
type plan struct {
	interpreter *interpreter // that it has; nil for guests that need none
	whole       bool         // a whole distribution, set up by the scripts of its packages, rather than some packages unpacked
}

// variant is what mmdebstrap calls it.
func (p plan) variant() string {
	if p.whole {
		return "minbase"
	}
	return "extract"
}

// packages are those beside the variant's own.
func (p plan) packages() (names []string) {
	if p.interpreter != nil {
		names = p.interpreter.base
	}
	if !p.whole {
		names = slices.Concat(names, commonPackages)
	}
	return names
}

// content tells plans apart by what they make.
func (p plan) content() string {
	if p.whole {
		return fmt.Sprint(p.variant(), p.packages(), removedWhole)
	}
	return fmt.Sprint(p.packages(), leftOut, removed, written)
}

// label names the base in an error.
func (p plan) label() string {
	s := "base image"
	if p.whole {
		s = "base image of a whole distribution"
	}
	if p.interpreter != nil {
		s += " with " + p.interpreter.program
	}
	return s
}

// debianBase returns the base of the interpreter's packages and of what they depend on.
func debianBase(ctx context.Context, i interpreter) (base, error) {
	return plan{interpreter: &i}.base(ctx)
}

// base returns a root file system of the host's distribution, Debian or Ubuntu. Only
// the distribution's own archive is used, whatever else apt knows.
func (p plan) base(ctx context.Context) (base, error) {
	absent := func(why, fix string, err error) error {
		return &Unavailable{What: p.label(), Why: why, Fix: fix, Err: err}
	}
	d, err := hostDistribution()
	if err != nil {
		return base{}, absent("the host is not a release of Debian or Ubuntu", "run there, or give an image by its digest", err)
	}
	build := func(dir string) error {
		if os.Geteuid() != 0 {
			return absent("building it takes root", "run as root once", nil)
		}
		tool, err := exec.LookPath("mmdebstrap")
		if err != nil {
			return absent("mmdebstrap was not found", "apt-get install mmdebstrap", err)
		}
		sources, err := d.sources(ctx)
		if err != nil {
			return unlessEnded(ctx, err, func(err error) error {
				return absent("apt does not know the archive of "+d.id+" "+d.suite, "add it to apt's sources and run apt-get update", err)
			})
		}
		return unlessEnded(ctx, p.build(ctx, dir, tool, d, sources), func(err error) error {
			return absent("building it failed", "let mmdebstrap reach the archive that apt-get uses", err)
		})
	}
	entry, err := cache.Make(ctx, "base", cache.Key(recipe, d.id, d.suite, goruntime.GOARCH, p.content()), func(dir string) error {
		if err, ok := notBuilt.Load(dir); ok {
			return err.(error)
		}
		err := build(dir)
		if errors.As(err, new(*Unavailable)) {
			notBuilt.Store(dir, err)
		}
		return err
	})
	if err != nil {
		return base{}, err
	}
	origin, err := os.ReadFile(filepath.Join(entry, "origin"))
	return base{dir: filepath.Join(entry, "rootfs"), origin: string(origin)}, err
}

// notBuilt has, for the directory in which a base was to be built, why it could
// not be: to find that out again takes minutes, and many guests share a base.
var notBuilt sync.Map

// unlessEnded gives an error to explain, except where the context ended: what
// failed then is not absent.
func unlessEnded(ctx context.Context, err error, explain func(error) error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return explain(err)
}

// sourceDate is what the scripts of packages take for the time, in seconds: that is kept
// in some of the files that they make.
const sourceDate = "86400"

// build fills dir with the directory rootfs and the file origin. Built again of the
// same packages they are the same.
func (p plan) build(ctx context.Context, dir, tool string, d distribution, sources []string) error {
	root, scratch := filepath.Join(dir, "rootfs"), filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	begun, err := os.Stat(scratch)
	if err != nil {
		return err
	}
	args := []string{"--quiet", "--mode=root", "--variant=" + p.variant(), "--format=directory"}
	if packages := p.packages(); len(packages) > 0 {
		args = append(args, "--include="+strings.Join(packages, ","))
	}
	options := []string{"force-unsafe-io"} // nothing is lost with a tree that is half made
	if !p.whole {
		options = slices.Concat(options, leftOut)
	}
	for _, o := range options {
		args = append(args, "--dpkgopt="+o)
	}
	cmd := contained(ctx, tool, append(append(args, d.suite, root), sources...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+scratch, "SOURCE_DATE_EPOCH="+sourceDate)
	if _, err := output(cmd); err != nil {
		return err
	}
	parts := []string{d.id + " " + d.suite}
	if err := p.finish(ctx, root); err != nil {
		return err
	}
	if p.interpreter != nil {
		program, _, err := p.interpreter.in(root)
		if err != nil {
			return err
		}
		if err := compileLibraries(ctx, root, program); err != nil {
			return err
		}
		version, err := output(inside(ctx, root, program, "--version"))
		if err != nil {
			return err
		}
		parts = append(parts, p.interpreter.pkg+" "+strings.TrimLeft(strings.TrimSpace(string(version)), "vPython "))
	}
	if err := settle(root, begun.ModTime()); err != nil {
		return err
	}
	size, err := cache.Size(root)
	if err != nil {
		return err
	}
	parts = append(parts, "mmdebstrap "+p.variant(), fmt.Sprintf("%d MB", size/1e6))
	return os.WriteFile(filepath.Join(dir, "origin"), []byte(strings.Join(parts, ", ")), 0o644)
}

// finish does what the scripts of packages do where they have not been run, and makes of
// what there is then a root file system that depends on nothing of the host.
func (p plan) finish(ctx context.Context, root string) error {
	patterns := removedWhole
	if !p.whole {
		patterns = removed
		if err := writeAll(root, written); err != nil {
			return err
		}
		// It leaves a cache of its own, with the inodes of files, in what is removed.
		if _, err := output(inside(ctx, root, "/sbin/ldconfig")); err != nil {
			return err
		}
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeAll writes files below root, whose directories are there, that all may read.
func writeAll(root string, files map[string]string) error {
	for file, content := range files {
		path := filepath.Join(root, file)
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o644), os.Chmod(path, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// compileLibraries compiles the libraries of Python's below root.
func compileLibraries(ctx context.Context, root, python string) error {
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/python3*"))
	if err != nil {
		return err
	}
	for _, l := range libraries {
		// Unchecked, because an image does not keep the time of a source.
		l = strings.TrimPrefix(l, root)
		if _, err := output(inside(ctx, root, python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", l)); err != nil {
			return err
		}
	}
	return nil
}

// settle gives one time to what was not unpacked from a package as it is: to
// directories, which have that of the package that came last, and to all that is not
// older than begun.
func settle(root string, begun time.Time) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !e.IsDir() && info.ModTime().Before(begun) {
			return err
		}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, make([]unix.Timespec, 2), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &fs.PathError{Op: "utimensat", Path: path, Err: err}
		}
		return nil
	})
}

// A distribution is what the host runs.
type distribution struct {
	id     string // debian or ubuntu
	suite  string // the code name of the release
	origin string // what its archive calls itself
}

func hostDistribution() (distribution, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return distribution{}, err
	}
	return parseRelease(string(b))
}

// parseRelease reads the content of an os-release file.
func parseRelease(release string) (distribution, error) {
	var d distribution
	for line := range strings.Lines(release) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.Trim(value, `"'`); name {
		case "ID":
			d.id = value
		case "VERSION_CODENAME":
			d.suite = value
		}
	}
	d.origin = map[string]string{"debian": "Debian", "ubuntu": "Ubuntu"}[d.id]
	if d.origin == "" || d.suite == "" {
		return d, fmt.Errorf("os-release names %q %q", d.id, d.suite)
	}
	return d, nil
}

// sources returns those of apt's sources, as lines of a sources.list, that are
// the distribution's own release with its updates.
func (d distribution) sources(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages")
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := output(cmd)
	if err != nil {
		return nil, err
	}
	lines := d.choose(string(out))
	if lines == nil {
		return nil, fmt.Errorf("none of its sources has the origin %s and the release %s", d.origin, d.suite)
	}
	return lines, nil
}

// choose picks from apt's list of its sources.
func (d distribution) choose(targets string) (lines []string) {
	for target := range strings.Lines(targets) {
		f := strings.Split(strings.TrimSpace(target), "|")
		if len(f) != 5 || f[0] != d.origin {
			continue
		}
		// Debian calls the updates by code names of their own, Ubuntu does not;
		// a suite may also be asked for by another name, such as stable.
		suite, _, _ := strings.Cut(f[1], "-")
		if suite != d.suite || strings.Contains(f[2], "backports") || strings.Contains(f[2], "proposed") {
			continue
		}
		line := fmt.Sprintf("deb %s %s %s", f[4], f[2], f[3])
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// contained returns a command that is the first process of a PID namespace and
// has mounts of its own: when it ends, or is killed with its context or with the
// harness, the kernel ends everything that it started and forgets what it
// mounted.
func contained(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	cmd.WaitDelay = time.Second
	return cmd
}

// inside is contained with root as the root directory.
func inside(ctx context.Context, root, name string, args ...string) *exec.Cmd {
	cmd := contained(ctx, name, args...)
	cmd.SysProcAttr.Chroot = root
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	return cmd
}

// output runs a command and returns its standard output, and the end of its
// standard error in the error. The signal of Pdeathsig comes when the thread
// ends that started the command, so it is kept.
func output(cmd *exec.Cmd) ([]byte, error) {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	err = fmt.Errorf("running %s: %w", filepath.Base(cmd.Path), err)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if said := strings.TrimSpace(string(exit.Stderr)); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	return out, err
}
