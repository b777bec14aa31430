package workload_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// servers are the languages whose standard library has an HTTP server.
var servers = []workload.Language{workload.Go, workload.Node, workload.NodeJitless, workload.Python}

// serve starts a guest as a server, in its directory where it is Mounted, and returns where it listens when it does.
func serve(t *testing.T, w workload.Workload) string {
	t.Helper()
	path, err := w.Artifact(t.Context(), workload.Server)
	skip(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, address)
	if m, ok := w.(workload.Mounted); ok {
		cmd.Dir = m.Mount()
	}
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if said := quiet(log.String()); said != "" {
			t.Errorf("the server said %q", said)
		}
	})
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		select {
		case <-ended:
			t.Fatalf("the server ended: %s", &log)
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
}

// quiet takes out what Node.js says about its own flag --jitless and about
// certificates that only the host has.
func quiet(log string) string {
	return regexp.MustCompile("(?m)^Warning: (disabling flag --expose_wasm|Ignoring extra certs) .*\n").ReplaceAllString(log, "")
}

func post(url string, body []byte) ([]byte, error) {
	r, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %q", r.Status, b)
	}
	return b, err
}

func TestServers(t *testing.T) {
	for _, l := range servers {
		t.Run(string(l), func(t *testing.T) {
			for _, w := range catalogue(t, l) {
				url := "http://" + serve(t, w) + "/"
				b, err := post(url, w.Request())
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Check(b); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestServerRefuses(t *testing.T) {
	for _, l := range servers {
		t.Run(string(l), func(t *testing.T) {
			url := "http://" + serve(t, workload.Hello(l))
			for _, test := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/", http.StatusMethodNotAllowed},
				{"DELETE", "/", http.StatusMethodNotAllowed},
				{"POST", "/other", http.StatusNotFound},
				{"GET", "/other", http.StatusNotFound},
				{"POST", "/", http.StatusOK},
			} {
				r, err := http.NewRequestWithContext(t.Context(), test.method, url+test.path, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				a, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				a.Body.Close()
				if a.StatusCode != test.status {
					t.Errorf("%s %s: status %d, want %d", test.method, test.path, a.StatusCode, test.status)
				}
			}
		})
	}
}

// Each of many that ask at once gets the answer to what it asked, and one
// connection serves many requests.
func TestServerAnswersEachItsOwn(t *testing.T) {
	const clients, requests = 20, 20
	for _, l := range servers {
		t.Run(string(l), func(t *testing.T) {
			address := serve(t, workload.Hello(l))
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					if err := askMany(address, c, requests); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

func askMany(address string, client, requests int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for i := range requests {
		name := strings.Repeat(fmt.Sprintf("%d/%d ", client, i), 1+i*i*10)
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		if want := "Hello, " + name + "!"; string(b) != want || r.Close {
			return fmt.Errorf("request %d of client %d: an answer of %d bytes, want %d; it closes the connection: %v", i, client, len(b), len(want), r.Close)
		}
	}
	return nil
}

func TestServerThatCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, l := range []workload.Language{workload.Go, workload.Node, workload.Python} {
		for name, address := range map[string]string{"taken": taken.Addr().String(), "no port": "127.0.0.1", "too large": "127.0.0.1:65536", "not ours": "192.0.2.1:80"} {
			t.Run(string(l)+"/"+name, func(t *testing.T) {
				path, err := workload.Hello(l).Artifact(t.Context(), workload.Server)
				skip(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out, err := exec.CommandContext(ctx, path, address).CombinedOutput()
				if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
					t.Errorf("it ends with %v, want status 1", err)
				}
				if line := quiet(string(out)); !strings.HasPrefix(line, "server: ") || strings.Count(line, "\n") != 1 || !strings.Contains(line, address) {
					t.Errorf("it says %q, want one line that names %s", line, address)
				}
			})
		}
	}
}
