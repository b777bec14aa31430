package docker_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func testDirectories(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	rundirtest.Directories(t, host, r)
	rundirtest.Catalogue(t, host, r, workload.C)
}

func testThreadsAndClocks(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	img := prepare(t, r, rundirtest.Files{Dir: t.TempDir()})
	rundirtest.Threads(t, host, img)
	rundirtest.Consists(t, host, img, true)
}

// A daemon with file systems of its own lacks the directory, or has another of
// that name, which would be measured in its place.
func TestDirectoryThatTheDaemonDoesNotSee(t *testing.T) {
	r, _ := private(t)
	programs := daemonPrograms(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	absent, other := filepath.Join(dir, "covered", "absent"), filepath.Join(dir, "other")
	if err := errors.Join(os.MkdirAll(absent, 0o755), os.Mkdir(other, 0o755)); err != nil {
		t.Fatal(err)
	}
	namespace := covered(t, filepath.Dir(absent), other)
	for name, program := range programs {
		script := fmt.Sprintf("#!/bin/sh\nexec nsenter --mount=%s %s \"$@\"\n", namespace, program)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The others of Docker's programs are beside those.
	t.Setenv("PATH", filepath.Dir(programs["dockerd"])+":"+os.Getenv("PATH"))
	host := rundirtest.Watch(t)
	theirs := docker.New(docker.Options{Dockerd: filepath.Join(dir, "dockerd")})
	if _, err := theirs.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	sockets, err := filepath.Glob(filepath.Join(host.Tmp, "wasmbench-*", "*", "docker.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v", sockets, err)
	}
	ours := docker.New(docker.Options{Host: "unix://" + sockets[0]})
	for _, d := range []string{absent, other} {
		img, err := ours.Prepare(t.Context(), rundirtest.Mounted{Workload: rundirtest.Echo{Dir: guests}, In: d})
		if err != nil {
			t.Fatal(err)
		}
		_, err = img.Start(t.Context(), ignore)
		t.Log(err)
		var u *workload.Unavailable
		if !errors.As(err, &u) || !strings.Contains(u.What, d) || !strings.Contains(u.Why, sockets[0]) || u.Fix == "" {
			t.Errorf("%s: error %v, want an *Unavailable with the directory, the daemon and the remedy", d, err)
		}
	}
	if err := errors.Join(ours.Close(), theirs.Close()); err != nil {
		t.Error(err)
	}
	for _, left := range host.Leftovers(t) {
		t.Errorf("left behind: %s", left)
	}
}

// daemonPrograms returns the programs of a runtime's private daemon, by their
// names.
func daemonPrograms(t *testing.T, r *docker.Runtime) map[string]string {
	t.Helper()
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Dir: guests})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{}
	for _, pid := range inst.Scope().Shared {
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			t.Fatal(err)
		}
		programs[filepath.Base(program)] = program
	}
	if err := errors.Join(inst.Close(), img.Close()); err != nil {
		t.Error(err)
	}
	return programs
}

// covered returns a mount namespace in which empty file systems lie on the
// directories, until the test ends.
func covered(t *testing.T, dirs ...string) string {
	t.Helper()
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-ec", `for d do mount -t tmpfs none "$d"; done; echo; exec cat`, "sh"}, dirs...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid)
}
