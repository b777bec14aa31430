package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// fakeVar makes the test binary, called as dockerd or containerd, listen as that
// does; as dockerd it answers nobody, and if the value is "ends" it ends when
// somebody talks to it.
const fakeVar = "WASMBENCH_TEST_FAKE"

func fake() {
	if os.Args[1] == "--version" {
		fmt.Println("Docker version 20.10.24, build 1")
		return
	}
	socket := "containerd.sock"
	if filepath.Base(os.Args[0]) == "dockerd" {
		socket = "docker.sock"
	}
	l, err := net.Listen("unix", filepath.Join(filepath.Dir(os.Args[2]), socket))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		if _, err := l.Accept(); err != nil || socket == "docker.sock" && os.Getenv(fakeVar) == "ends" {
			fmt.Fprintln(os.Stderr, "out of order")
			os.Exit(1)
		}
	}
}

// What our own daemon does wrong does not make Docker unavailable. The daemon is
// given by a path that means another elsewhere.
func TestDockerdThatDoesNotServe(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a daemon is started by root only: run as root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"dockerd", "containerd"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for mode, want := range map[string]string{"ends": "out of order", "hangs": context.DeadlineExceeded.Error()} {
		t.Run(mode, func(t *testing.T) {
			host := rundirtest.Watch(t)
			t.Setenv(fakeVar, mode)
			ctx := t.Context()
			if mode == "hangs" {
				limited, cancel := context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
				ctx = limited
			}
			_, err := docker.New(docker.Options{Dockerd: "./dockerd"}).Probe(ctx)
			t.Log(err)
			if err == nil || errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "dockerd") {
				t.Errorf("error %v, want one of dockerd with %q that is no *Unavailable", err, want)
			}
			for _, left := range host.Leftovers(t) {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func TestOptionsThatContradict(t *testing.T) {
	for _, o := range []docker.Options{{Host: "unix:///socket", Private: true}, {Host: "unix:///socket", Dockerd: "/dockerd"}} {
		if _, err := docker.New(o).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), o.Host) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}
