// Package rundirtest has what the tests of the container runtimes share:
// guests that behave in one way each, and a look at what a run left on the host.
package rundirtest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/workload"
)

//go:embed testdata/guest.go.txt
var source []byte

// Require skips a test of the runtime called name where unavailable says why
// it cannot run, unless WASMBENCH_REQUIRE, a comma separated list, has name.
func Require(t testing.TB, name string, unavailable error) {
	t.Helper()
	var u *workload.Unavailable
	switch {
	case unavailable == nil:
	case !errors.As(unavailable, &u):
		t.Fatal(unavailable)
	default:
		for required := range strings.SplitSeq(os.Getenv("WASMBENCH_REQUIRE"), ",") {
			if required == name {
				t.Fatal(unavailable)
			}
		}
		t.Skip(unavailable)
	}
}

// Echo is a workload whose guest answers "hello " and the request. Mode, if not
// "", makes it misbehave: "exits", "other", "silent", "stubborn", "missing" from
// its image, "chatters" unasked and dies, or, on a request, "chokes" on it
// before it has read it, "dies", "lingers" without its output before it dies, or
// is "mute" and lives on.
// "keeps" appends what it is asked to a file and answers "hello " and the whole
// file.
type Echo struct {
	Mode string
	Dir  string // for the root file system
}

// Name returns "echo".
func (e Echo) Name() string { return "echo" }

// Request returns "you".
func (e Echo) Request() []byte { return []byte("you") }

// Check wants "hello you".
func (e Echo) Check(answer []byte) error {
	if want := []byte("hello you"); !bytes.Equal(answer, want) {
		return &workload.WrongAnswer{Workload: "echo", Got: bytes.Clone(answer), Want: want}
	}
	return nil
}

// Artifact compiles the guest.
func (e Echo) Artifact(ctx context.Context, f workload.Form) (string, error) {
	if f != workload.RootFS {
		return "", fmt.Errorf("no form %s", f)
	}
	root := filepath.Join(e.Dir, "rootfs"+e.Mode)
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	for _, d := range []string{"dev", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return "", err
		}
	}
	if e.Mode == "missing" {
		return root, nil
	}
	return root, compile(ctx, e.Dir, source, e.Mode, filepath.Join(root, "guest"))
}

// compile makes a static program of one file, which may have a variable called
// mode.
func compile(ctx context.Context, dir string, source []byte, mode, program string) error {
	src := filepath.Join(dir, "main.go")
	if err := os.WriteFile(src, source, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w -X main.mode="+mode, "-o", program, src)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Layered is a workload on top of the directory that is its base.
type Layered struct {
	workload.Workload
	Dir string
}

// Base returns Dir.
func (l Layered) Base(context.Context) (dir, origin string, err error) {
	return l.Dir, "made by a test", nil
}

// Host watches one temporary directory of its own and what runs made on the
// host from there.
type Host struct {
	Tmp     string
	pids    []int
	cgroups []string
	dead    []string // sockets, from before
}

// Watch sets TMPDIR to a directory of the test's own, in which the runs that it
// makes will be. At the test's end what is left of dead ones is cleared; the
// directory is kept, which is an error, if it tells of others.
func Watch(t testing.TB) *Host {
	t.Helper()
	tmp, err := os.MkdirTemp("", "wbt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		// Daemons are the tests' own too, and have ended.
		err := rundir.Sweep(context.Background(), func(context.Context, string, string) error { return nil })
		if runs, _ := filepath.Glob(filepath.Join(tmp, "wasmbench-*")); err != nil || len(runs) > 0 {
			t.Errorf("%s is kept for what runs have left: %v", tmp, err)
		} else if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	return &Host{Tmp: tmp, dead: refusing(shimSockets(t))}
}

// Add remembers what an instance consists of.
func (h *Host) Add(s runtime.Scope) {
	h.pids = append(h.pids, s.Own...)
	if s.Cgroup != "" {
		h.cgroups = append(h.cgroups, s.Cgroup)
	}
}

// PIDs returns the processes that were added.
func (h *Host) PIDs() []int { return slices.Clone(h.pids) }

// Leftovers lists what there still is of the runs and instances.
func (h *Host) Leftovers(t testing.TB) []string {
	t.Helper()
	var left []string
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, h.Tmp) {
			left = append(left, "mount "+m.Mountpoint)
		}
		if m.FSType != "cgroup" && m.FSType != "cgroup2" {
			continue
		}
		for _, c := range h.cgroups {
			for _, path := range []string{c, filepath.Dir(c)} {
				if _, err := os.Stat(m.Mountpoint + path); err == nil {
					left = append(left, "cgroup "+m.Mountpoint+path)
				}
			}
		}
	}
	left = append(left, h.links(t)...)
	left = append(left, h.processes(t)...)
	left = append(left, h.deadSockets(t)...)
	runs, err := filepath.Glob(filepath.Join(h.Tmp, "wasmbench-*"))
	if err != nil {
		t.Fatal(err)
	}
	return append(left, runs...)
}

// links lists the network devices of the runs of which there were instances.
func (h *Host) links(t testing.TB) (left []string) {
	t.Helper()
	devices, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		id, ok := strings.CutPrefix(d.Name, "wb-")
		if ok && slices.ContainsFunc(h.cgroups, func(path string) bool { return strings.Contains(path, "/"+id+"/") }) {
			left = append(left, "network device "+d.Name)
		}
	}
	return left
}

// patience is how long a test elsewhere may take to remove the sockets of shims
// that it has killed.
const patience = 10 * time.Second

// deadSockets lists the sockets of shims that nobody has listened at since it
// was called, other than those from before.
func (h *Host) deadSockets(t testing.TB) (left []string) {
	t.Helper()
	sockets := slices.DeleteFunc(refusing(shimSockets(t)), func(path string) bool { return slices.Contains(h.dead, path) })
	for begin := time.Now(); len(sockets) > 0 && time.Since(begin) < patience; sockets = refusing(sockets) {
		time.Sleep(50 * time.Millisecond)
	}
	for _, path := range sockets {
		left = append(left, "socket "+path)
	}
	return left
}

func shimSockets(t testing.TB) []string {
	t.Helper()
	sockets, err := filepath.Glob("/run/containerd/s/*")
	if err != nil {
		t.Fatal(err)
	}
	return sockets
}

// refusing lists those of the sockets that nobody listens at.
func refusing(sockets []string) (dead []string) {
	for _, path := range sockets {
		conn, err := net.Dial("unix", path)
		if errors.Is(err, unix.ECONNREFUSED) {
			dead = append(dead, path)
		}
		if err == nil {
			conn.Close()
		}
	}
	return dead
}

// processes lists those that live and were instances, or that have a path
// below the temporary directory in their environment's mark.
func (h *Host) processes(t testing.TB) (left []string) {
	t.Helper()
	for _, pid := range h.pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !bytes.Contains(stat, []byte(") Z ")) {
			left = append(left, fmt.Sprintf("process %s", stat))
		}
	}
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range environs {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("WASMBENCH_RUN="+h.Tmp)) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			left = append(left, fmt.Sprintf("%s %q", path, cmdline))
		}
	}
	return left
}
