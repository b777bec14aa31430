package workload

import (
	"context"
	"errors"
	"fmt"
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

// recipe is counted up when buildBase makes another base of the same packages.
const recipe = "1"

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

// What mmdebstrap leaves of the host and of apt: nodes that no image can have,
// the host's name and its resolver, where packages came from.
var removed = []string{"dev/*", "etc/apt", "etc/hostname", "etc/resolv.conf", "var/cache/*", "var/lib/apt", "var/log/*"}

// written are the files that the scripts of packages would have made.
var written = map[string]string{
	"etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
	"etc/group":  "root:x:0:\nnogroup:x:65534:\n",
}

// debianBase returns a root file system of the host's distribution, Debian or
// Ubuntu, with its interpreter: the packages and what they depend on, unpacked.
// Only the distribution's own archive is used, whatever else apt knows.
func debianBase(ctx context.Context, i interpreter) (base, error) {
	absent := func(why, fix string, err error) error {
		return &Unavailable{What: "base image with " + i.program, Why: why, Fix: fix, Err: err}
	}
	d, err := hostDistribution()
	if err != nil {
		return base{}, absent("the host is not a release of Debian or Ubuntu", "run there, or give an image by its digest", err)
	}
	packages := slices.Concat(i.base, commonPackages)
	content := fmt.Sprint(packages, leftOut, removed, written)
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
		return unlessEnded(ctx, buildBase(ctx, dir, tool, d, i, packages, sources), func(err error) error {
			return absent("building it failed", "let mmdebstrap reach the archive that apt-get uses", err)
		})
	}
	entry, err := cache.Make(ctx, "base", cache.Key(recipe, d.id, d.suite, goruntime.GOARCH, content), func(dir string) error {
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

// buildBase fills dir with the directory rootfs and the file origin.
func buildBase(ctx context.Context, dir, tool string, d distribution, i interpreter, packages, sources []string) error {
	root, scratch := filepath.Join(dir, "rootfs"), filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	args := []string{"--quiet", "--mode=root", "--variant=extract", "--format=directory", "--include=" + strings.Join(packages, ",")}
	for _, o := range leftOut {
		args = append(args, "--dpkgopt="+o)
	}
	cmd := contained(ctx, tool, append(append(args, d.suite, root), sources...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+scratch)
	if _, err := output(cmd); err != nil {
		return err
	}
	if err := finish(root); err != nil {
		return err
	}
	program, _, err := i.in(root)
	if err != nil {
		return err
	}
	if _, err := output(inside(ctx, root, "/sbin/ldconfig")); err != nil {
		return err
	}
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/python3*"))
	if err != nil {
		return err
	}
	for _, l := range libraries {
		// Unchecked, because an image does not keep the time of a source.
		l = strings.TrimPrefix(l, root)
		if _, err := output(inside(ctx, root, program, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", l)); err != nil {
			return err
		}
	}
	version, err := output(inside(ctx, root, program, "--version"))
	if err != nil {
		return err
	}
	size, err := cache.Size(root)
	if err != nil {
		return err
	}
	number := strings.TrimLeft(strings.TrimSpace(string(version)), "vPython ")
	origin := fmt.Sprintf("%s %s, %s %s, mmdebstrap extract, %d MB", d.id, d.suite, i.pkg, number, size/1e6)
	return os.WriteFile(filepath.Join(dir, "origin"), []byte(origin), 0o644)
}

// finish makes of unpacked packages a root file system that depends on nothing
// of the host.
func finish(root string) error {
	for _, pattern := range removed {
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
	for file, content := range written {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
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
