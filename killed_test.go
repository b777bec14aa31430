package wasmbench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
)

// markVar is in the environment of everything that a run of this test starts.
const markVar = "WASMBENCH_TEST_MARK"

// After a run that was killed at its worst moment, followed by another run,
// nothing of either is left; nor is it after a run that nobody disturbed.
func TestNothingIsLeftBehind(t *testing.T) {
	// A socket's address is short, and so must the run's directory be.
	tmp, err := os.MkdirTemp("", "wbk")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		// It alone tells of what is left.
		if err := os.Remove(tmp); err != nil {
			t.Errorf("%v: a run with TMPDIR=%s clears what killed runs have left", err, tmp)
		}
	})
	t.Setenv(markVar, tmp)
	runtimes := []string{"native", "wazero-embedded"}
	if os.Geteuid() == 0 {
		runtimes = append(runtimes, "runc", "containerd")
		d := docker.New(docker.Options{Private: true})
		switch _, err := d.Probe(t.Context()); {
		case err == nil:
			runtimes = append(runtimes, "docker")
		case !errors.As(err, new(*runtime.Unavailable)):
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	h := &host{tmp: tmp, runs: map[string]bool{}, others: deadSockets(t)}
	for _, victim := range runtimes {
		h.killDuring(t, victim)
	}
	if os.Geteuid() == 0 && len(h.traces(t)) == 0 {
		t.Error("the killed runs left nothing to be cleared: this test proves nothing")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if out, errs, err := rerun(t, "-test.bench=WarmStart", "-test.benchtime=2x", "-docker.private", "-guests="+anyGuest(t), "-runtimes="+strings.Join(runtimes, ",")); err != nil {
			t.Errorf("the run after those that were killed: %v\n%s%s", err, out, errs)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(5 * time.Millisecond):
			h.note(t)
		}
	}
	if left := h.traces(t); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// A host is what the runs of a test may have left things on.
type host struct {
	tmp  string          // their temporary directory
	runs map[string]bool // names of their directories below it

	others []string // sockets that nobody listened at before
}

// note remembers the runs that are there now.
func (h *host) note(t *testing.T) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(h.tmp, "wasmbench-*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		h.runs[filepath.Base(d)] = true
	}
}

// killDuring starts a run and kills it while it measures the victim.
func (h *host) killDuring(t *testing.T, victim string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^$", "-test.bench=WarmStart", "-test.benchtime=1000000x", "-budget=0", "-docker.private", "-guests="+anyGuest(t), "-runtimes="+victim)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for s := bufio.NewScanner(stderr); s.Scan(); {
		fmt.Fprintln(&said, s.Text())
		if strings.Contains(s.Text(), "BenchmarkWarmStart") {
			break
		}
	}
	// Wherever it is by then: preparing, starting or closing an instance.
	time.Sleep(300 * time.Millisecond)
	h.note(t)
	cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the run of %s was not killed but ended with %v:\n%s", victim, err, said.String())
	}
}

// traces lists what there is of the runs: processes with their mark, mounts and
// files below their directory, their cgroups, sockets that nobody listens at.
func (h *host) traces(t *testing.T) (found []string) {
	t.Helper()
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(markVar+"="+h.tmp)) && path != fmt.Sprintf("/proc/%d/environ", os.Getpid()) {
			cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, fmt.Sprintf("process %s %q", filepath.Dir(path), cmdline))
		}
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, h.tmp) {
			found = append(found, "mount "+m.Mountpoint)
		}
		if m.FSType != "cgroup" && m.FSType != "cgroup2" {
			continue
		}
		for id := range h.runs {
			group := filepath.Join(m.Mountpoint, "wasmbench", id)
			if _, err := os.Stat(group); err == nil {
				found = append(found, "cgroup "+group)
			}
		}
	}
	entries, err := os.ReadDir(h.tmp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found = append(found, "file "+filepath.Join(h.tmp, e.Name()))
	}
	return append(found, slices.DeleteFunc(deadSockets(t), func(path string) bool { return slices.Contains(h.others, path) })...)
}

// deadSockets lists the sockets of shims that nobody listens at. Other tests
// that run now have such for a moment, so only those that stay are listed.
func deadSockets(t *testing.T) []string {
	t.Helper()
	var dead []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		sockets, _ := filepath.Glob("/run/containerd/s/*")
		now := slices.DeleteFunc(sockets, func(path string) bool {
			conn, err := net.Dial("unix", path)
			if err == nil {
				conn.Close()
			}
			return !errors.Is(err, syscall.ECONNREFUSED)
		})
		if dead == nil {
			dead = now
		}
		dead = slices.DeleteFunc(dead, func(path string) bool { return !slices.Contains(now, path) })
		if len(dead) == 0 || time.Now().After(deadline) {
			return dead
		}
	}
}
