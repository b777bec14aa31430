package docker_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// serverSource is a guest that serves, unless there is a file /silent.
const serverSource = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	fmt.Println("to listen at", os.Args[1])
	if _, err := os.Stat("/silent"); err == nil {
		time.Sleep(time.Hour)
	}
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			os.Exit(5)
		}
		io.WriteString(w, "hello ")
		io.Copy(w, r.Body)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
`

// server builds the guest, once, and returns a workload of it and of other files
// that are empty.
func server(t *testing.T, others ...string) workload.Workload {
	t.Helper()
	program := filepath.Join(guests, "server")
	if _, err := os.Stat(program); err != nil {
		source := program + ".go"
		if err := os.WriteFile(source, []byte(serverSource), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	root := t.TempDir()
	err := os.Link(program, filepath.Join(root, "guest"))
	for _, name := range others {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, name), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return workload.Prebuilt{
		Label: "server", Ask: []byte("you"), Want: []byte("hello you"),
		Files: map[workload.Form]string{workload.ServerRootFS: root},
	}
}

func ask(w workload.Workload, address string) error {
	answer, err := http.Post("http://"+address+"/", "", bytes.NewReader(w.Request()))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return errors.Join(err, w.Check(body))
}

func testServer(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	w := server(t)
	img, err := r.PrepareServer(t.Context(), w, runtime.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	serve := func(address string) runtime.Service {
		t.Helper()
		timeline := runtime.NewTimeline(time.Now())
		s, err := img.Serve(t.Context(), address, timeline.Mark)
		if err != nil {
			t.Fatal(err)
		}
		if d := timeline.Durations; d[runtime.Create] == 0 || d[runtime.Start] == 0 || d[runtime.Ready] != 0 {
			t.Errorf("phases %v", d)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		host.Add(s.Scope())
		return s
	}

	s := serve("")
	checkScope(t, s.Scope())
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if err = ask(w, s.Address()); err == nil {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal(s.Explain(err))
		}
	}
	if s.Explain(nil) != nil {
		t.Error("Explain makes an error of none")
	}
	cause := errors.New("cause")
	if err := s.Explain(cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), "to listen at "+s.Address()) {
		t.Errorf("Explain = %v, want the cause and the log", err)
	}

	taken := serve(s.Address())
	wait(t, taken.Ended())
	var exit *oci.ExitError
	if err := taken.Explain(cause); !errors.As(err, &exit) || !errors.Is(err, cause) || exit.Status != 1 || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Explain = %v, want an *ExitError with status 1, the cause and the log", err)
	}

	select {
	case <-s.Ended():
		t.Error("a server that serves is said to have ended")
	default:
	}
	kill, err := http.NewRequest(http.MethodDelete, "http://"+s.Address(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = http.DefaultClient.Do(kill)
	wait(t, s.Ended())
	for range 2 {
		if err := s.Explain(err); !errors.As(err, &exit) || exit.Status != 5 {
			t.Errorf("Explain = %v, want an *ExitError with status 5", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func wait(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
	}
}

func testNoServer(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	prebuilt := workload.Prebuilt{Label: "nothing", Files: map[workload.Form]string{workload.ServerRootFS: t.TempDir()}}
	img, err := r.PrepareServer(t.Context(), prebuilt, runtime.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if _, err := img.Serve(t.Context(), "", ignore); !errors.Is(err, oci.ErrCommand) {
		t.Errorf("error %v, want ErrCommand", err)
	}
	silent, err := r.PrepareServer(t.Context(), server(t, "silent"), runtime.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s, err := silent.Serve(t.Context(), "", ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(s.Scope())
	_, err = net.Dial("tcp", s.Address())
	if err := s.Explain(err); err == nil || !strings.Contains(fmt.Sprint(err), "refused") {
		t.Errorf("Explain = %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
