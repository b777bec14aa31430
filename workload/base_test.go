package workload_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// merged runs a shell command with the guest's root file system on its base
// mounted at $root. The mount ends with the command, whose namespaces are its
// own.
func merged(t *testing.T, w *workload.Guest, f workload.Form, command string) *exec.Cmd {
	t.Helper()
	base, _, err := w.Base(t.Context())
	skip(t, err)
	top, err := w.Artifact(t.Context(), f)
	skip(t, err)
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", `mount -t overlay -o "lowerdir=$top:$base" none "$root"; `+command)
	cmd.Env = append(os.Environ(), "top="+top, "base="+base, "root="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func TestGuestsOnTheirBases(t *testing.T) {
	for _, l := range []workload.Language{workload.Node, workload.NodeJitless, workload.Python} {
		for _, w := range catalogue(t, l) {
			t.Run(string(l)+"/"+w.Name(), func(t *testing.T) {
				cmd := merged(t, w.(*workload.Guest), workload.RootFS, `exec chroot "$root" /guest`)
				cmd.Stdin = bytes.NewReader(frame(w.Request()))
				out, err := cmd.Output()
				if err != nil || len(out) < 8 || string(out[:4]) != "wb1\n" {
					t.Fatalf("it writes %q, %v", out, err)
				}
				if err := w.Check(out[8:]); err != nil {
					t.Error(err)
				}
			})
			if w.Name() != "hello" {
				continue
			}
			t.Run(string(l)+"/server", func(t *testing.T) {
				// An address that cannot be had shows that the server comes so far.
				out, err := merged(t, w.(*workload.Guest), workload.ServerRootFS, `exec chroot "$root" /guest 192.0.2.1:80`).CombinedOutput()
				if said := quiet(string(out)); err == nil || !strings.HasPrefix(said, "server: ") || !strings.Contains(said, "192.0.2.1") {
					t.Errorf("it says %q, %v", said, err)
				}
			})
		}
	}
}

// Nothing but the script itself is compiled when a guest starts, also after an
// image has set every time to the same.
func TestPythonIsCompiledAhead(t *testing.T) {
	for f, guest := range map[workload.Form]string{workload.RootFS: "/guest", workload.ServerRootFS: "/guest 192.0.2.1:80"} {
		cmd := merged(t, workload.Hello(workload.Python), f, `PYTHONVERBOSE=1 exec chroot "$root" `+guest)
		out, err := cmd.CombinedOutput()
		if f == workload.RootFS && err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var used, sources []string
		for line := range strings.Lines(string(out)) {
			// The interpreter names the file that a module's code comes from.
			if _, file, ok := strings.Cut(strings.TrimSpace(line), "# code object from "); ok {
				if strings.Contains(file, ".pyc") {
					used = append(used, file)
				} else {
					sources = append(sources, file)
				}
			}
		}
		if len(sources) > 0 {
			t.Errorf("%s: compiled at the start: %v", f, sources)
		}
		for _, module := range []string{"/guest.d/__pycache__/hello.", map[workload.Form]string{workload.RootFS: "/guest.d/__pycache__/worker.", workload.ServerRootFS: "/http/__pycache__/server."}[f]} {
			if !strings.Contains(strings.Join(used, " "), module) {
				t.Errorf("%s: %s is not loaded from what was compiled ahead: %v", f, module, used)
			}
		}
	}
}

// A base is what an image can have, and has nothing of the host.
func TestBases(t *testing.T) {
	for _, l := range []workload.Language{workload.Node, workload.Python} {
		t.Run(string(l), func(t *testing.T) {
			base, origin, err := workload.Hello(l).Base(t.Context())
			skip(t, err)
			for _, part := range []string{", mmdebstrap extract, ", " MB"} {
				if !strings.Contains(origin, part) {
					t.Errorf("the origin %q does not tell %q", origin, part)
				}
			}
			err = filepath.WalkDir(base, func(path string, e fs.DirEntry, err error) error {
				if err == nil && e.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
					t.Errorf("%s is a %v, which an image cannot have", path, e.Type())
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			for _, file := range []string{"etc/hostname", "etc/resolv.conf", "etc/apt", "usr/bin/apt"} {
				if _, err := os.Lstat(filepath.Join(base, file)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the base has %s: %v", file, err)
				}
			}
			for _, file := range []string{"etc/passwd", "etc/os-release", "etc/ld.so.cache", "usr/share/doc/libc6/copyright", "proc", "sys", "tmp"} {
				if _, err := os.Stat(filepath.Join(base, file)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, l := range []workload.Language{workload.C, workload.Go} {
		if dir, origin, err := workload.Hello(l).WithBase("/", "host").Base(t.Context()); dir != "" || origin != "" || err != nil {
			t.Errorf("%s has a base: %q, %q, %v", l, dir, origin, err)
		}
	}
}

func TestBaseWithoutMmdebstrap(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	_, _, err := workload.Hello(workload.Node).Base(t.Context())
	if !errors.As(err, new(*workload.Unavailable)) || os.Geteuid() == 0 && !strings.Contains(err.Error(), "apt-get install mmdebstrap") {
		t.Errorf("error %v is no *Unavailable that names the remedy", err)
	}
}

// standIn puts a mmdebstrap on PATH that takes until it is killed, with a child
// in a session of its own, and returns the pipe that the child holds open: it
// yields one byte when the child runs and its end when nothing runs any more.
func standIn(t *testing.T) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("bases are built as root only")
	}
	if err := workload.HostSources(t.Context()); err != nil {
		t.Skip(err)
	}
	bin := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	pipe := filepath.Join(bin, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nsetsid sh -c 'printf .; exec sleep 1000' >" + pipe + " 2>&1 &\nwait\n"
	if err := os.WriteFile(filepath.Join(bin, "mmdebstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	// The other end is opened by then, so a pipe without writers is one that has
	// lost them.
	r, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.SetReadDeadline(time.Now().Add(time.Minute))
	return r
}

// awaitStart waits for the byte of a stand-in.
func awaitStart(t *testing.T, pipe *os.File) {
	t.Helper()
	for {
		switch n, err := pipe.Read(make([]byte, 1)); {
		case n == 1:
			return
		case err != io.EOF:
			t.Fatalf("the build does not begin: %v", err)
		case t.Context().Err() != nil:
			t.Fatal("the build does not begin")
		}
		time.Sleep(time.Millisecond) // nobody has opened the other end yet
	}
}

func awaitEnd(t *testing.T, pipe *os.File) {
	t.Helper()
	if n, err := pipe.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("something of the build still runs: %d, %v", n, err)
	}
}

// A build that fails is not tried again for each guest.
func TestBaseThatCannotBeBuilt(t *testing.T) {
	standIn(t)
	bin, _, _ := strings.Cut(os.Getenv("PATH"), ":")
	tries := filepath.Join(bin, "tries")
	script := "#!/bin/sh\necho try >>" + tries + "\necho no mirror >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "mmdebstrap"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := workload.Hello(workload.Node).Base(ended); !errors.Is(err, context.Canceled) || errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("error %v, want context.Canceled and no *Unavailable", err)
	}
	for _, l := range []workload.Language{workload.Node, workload.NodeJitless, workload.Node} {
		_, _, err := workload.Hello(l).Base(t.Context())
		if !errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), "no mirror") {
			t.Errorf("%s: error %v is no *Unavailable that says what failed", l, err)
		}
	}
	if b, err := os.ReadFile(tries); string(b) != "try\n" {
		t.Errorf("it was tried %d times, %v", bytes.Count(b, []byte("\n")), err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, _, err := workload.Hello(workload.Node).Base(t.Context()); err == nil {
		t.Error("a base was built")
	}
	if b, err := os.ReadFile(tries); string(b) != "try\ntry\n" {
		t.Errorf("in another cache it was tried %d times, %v", bytes.Count(b, []byte("\n")), err)
	}
}

// A build that is given up ends with everything that it has started and leaves
// nothing behind.
func TestBaseHonoursContext(t *testing.T) {
	pipe := standIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, _, err := workload.Hello(workload.Node).Base(ctx)
		failed <- err
	}()
	awaitStart(t, pipe)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("error %v, want context.Canceled and no *Unavailable", err)
	}
	awaitEnd(t, pipe)
	left, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "wasmbench/base/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		if filepath.Ext(l) != ".lock" {
			t.Errorf("%s is left", l)
		}
	}
}

const killedEnv = "WASMBENCH_TEST_KILLED"

// A run that is killed in a build takes the build with it.
func TestBaseOfAKilledRun(t *testing.T) {
	if os.Getenv(killedEnv) != "" {
		workload.Hello(workload.Node).Base(t.Context())
		t.Fatal("the build has ended")
	}
	pipe := standIn(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBaseOfAKilledRun$")
	cmd.Env = append(os.Environ(), killedEnv+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitStart(t, pipe)
	cmd.Process.Kill()
	cmd.Wait()
	awaitEnd(t, pipe)
}

func TestBaseThatIsGiven(t *testing.T) {
	for _, test := range []struct {
		name  string
		make  map[string]string // path to what it links to, or "" for a program
		finds string            // by the first line of the script
	}{
		{"usr", map[string]string{"usr/bin/node": ""}, "/usr/bin/node"},
		{"local first", map[string]string{"usr/bin/node": "", "usr/local/bin/node": ""}, "/usr/local/bin/node"},
		{"absolute link", map[string]string{"usr/local/bin/node": "/opt/node", "opt/node": ""}, "/opt/node"},
		{"relative link", map[string]string{"usr/bin/node": "nodejs", "usr/bin/nodejs": ""}, "/usr/bin/nodejs"},
		{"missing", map[string]string{"usr/bin/python3": ""}, ""},
		{"dangling", map[string]string{"usr/bin/node": "/opt/node"}, ""},
		{"loop", map[string]string{"usr/bin/node": "node"}, ""},
		{"out of the base", map[string]string{"usr/bin/node": "../../../../../../../../../bin/sh"}, ""},
		{"directory out of the base", map[string]string{"usr/bin": "/usr/bin"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for file, to := range test.make {
				file = filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				var err error
				if to == "" {
					err = os.WriteFile(file, []byte("interpreter"), 0o755)
				} else {
					err = os.Symlink(to, file)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			g := workload.Hello(workload.Node)
			on := g.WithBase(dir, "an image")
			if got, origin, err := on.Base(t.Context()); got != dir || origin != "an image" || err != nil {
				t.Errorf("Base = %q, %q, %v", got, origin, err)
			}
			root, err := on.Artifact(t.Context(), workload.RootFS)
			if test.finds == "" {
				if !errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), "an image") || !strings.Contains(err.Error(), "node is missing") {
					t.Errorf("%s, %v: want an *Unavailable that names image and interpreter", root, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(root, "guest")); err != nil || !strings.HasPrefix(string(b), "#!"+test.finds+"\n") {
				t.Errorf("the guest begins %.40q, %v; want %s", b, err, test.finds)
			}
		})
	}
}
