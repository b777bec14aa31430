package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// listen serves at a new socket with handler, or only listens if that is nil.
func listen(t *testing.T, handler http.Handler) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wbd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if handler != nil {
		go http.Serve(l, handler)
	}
	return socket
}

// deadSocket returns a socket at which nobody listens any more.
func deadSocket(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return socket
}

func TestHostsThatCannotBeHad(t *testing.T) {
	old := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.30") }))
	closed := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	for name, test := range map[string]struct {
		host, fix string
		cause     error
	}{
		"no socket":     {"unix:///no/such/docker.sock", "DOCKER_HOST", os.ErrNotExist},
		"dead socket":   {"unix://" + deadSocket(t), "DOCKER_HOST", syscall.ECONNREFUSED},
		"closed port":   {"tcp://127.0.0.1:1", "DOCKER_HOST", syscall.ECONNREFUSED},
		"far host":      {"tcp://192.0.2.1:2375", "loopback", nil},
		"any host":      {"tcp://0.0.0.0:2375", "loopback", nil},
		"no address":    {"nonsense", "unix://", nil},
		"another shell": {"ssh://nowhere", "unix://", nil},
		"old":           {"unix://" + old, "19.03", nil},
		"hangs up":      {"unix://" + closed, "daemon", io.EOF},
	} {
		for _, from := range []string{"option", "DOCKER_HOST"} {
			t.Run(name+" from "+from, func(t *testing.T) {
				host := rundirtest.Watch(t)
				options := docker.Options{Host: test.host}
				t.Setenv("DOCKER_HOST", "")
				if from != "option" {
					options.Host = ""
					t.Setenv("DOCKER_HOST", test.host)
				}
				_, err := docker.New(options).Probe(t.Context())
				t.Log(err)
				var u *workload.Unavailable
				if !errors.As(err, &u) || !strings.Contains(u.Why, test.host) || !strings.Contains(u.Fix, test.fix) || u.Err == nil {
					t.Errorf("error %v, want an *Unavailable with %s, the cause and a remedy with %q", err, test.host, test.fix)
				}
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Errorf("error %v, want %v", err, test.cause)
				}
				for _, left := range host.Leftovers(t) {
					t.Errorf("left behind: %s", left)
				}
			})
		}
	}
}

// A daemon that the caller did not wait for is not one that cannot be had.
func TestHostThatTheCallerDoesNotWaitFor(t *testing.T) {
	rundirtest.Watch(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := docker.New(docker.Options{Host: "unix://" + listen(t, nil)}).Probe(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("error %v, want context.DeadlineExceeded and no *Unavailable", err)
	}
}

func TestNoDockerd(t *testing.T) {
	rundirtest.Watch(t)
	t.Setenv("DOCKER_HOST", "unix:///not/to/be/tried")
	broken := filepath.Join(t.TempDir(), "dockerd")
	for _, path := range []string{broken, filepath.Join(filepath.Dir(broken), "containerd")} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho no such library >&2\nexit 127\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/no/such/dockerd", broken} {
		_, err := docker.New(docker.Options{Dockerd: path}).Probe(t.Context())
		t.Log(err)
		var u *workload.Unavailable
		if !errors.As(err, &u) || !strings.Contains(err.Error(), path) || u.Fix == "" || u.Err == nil {
			t.Errorf("error %v, want an *Unavailable with %s, the cause and the remedy", err, path)
		}
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := docker.New(docker.Options{Private: true}).Probe(t.Context())
	var u *workload.Unavailable
	if !errors.As(err, &u) || !strings.Contains(u.Fix, "scripts/docker.sh") {
		t.Errorf("error %v, want an *Unavailable whose remedy is the script", err)
	}
}

// probeVar makes the test binary try the daemon that DOCKER_HOST names and write
// the error.
const probeVar = "WASMBENCH_TEST_PROBE"

func probe() {
	r := docker.New(docker.Options{})
	_, err := r.Probe(context.Background())
	fmt.Print(errors.Join(err, r.Close()))
}

func TestAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("another user's rights are taken by root only: run as root")
	}
	host := rundirtest.Watch(t)
	program := filepath.Join(host.Tmp, "probe")
	self, err := os.Executable()
	if err == nil {
		err = errors.Join(exec.Command("cp", self, program).Run(), os.Chmod(host.Tmp, 0o777), os.Chmod(program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	forbidden := listen(t, nil)
	for host, want := range map[string]string{"unix://" + forbidden: "permission denied", "": "root only"} {
		if conn, err := net.Dial("unix", "/var/run/docker.sock"); host == "" && !errors.Is(err, os.ErrNotExist) {
			if err == nil {
				conn.Close()
			}
			continue // what is said depends on that daemon
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), probeVar+"=1", "DOCKER_HOST="+host)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "run as root") || !strings.Contains(string(out), host) {
			t.Errorf("as another user with DOCKER_HOST=%s: %v, %s, want %q and the remedy", host, err, out, want)
		}
	}
}
