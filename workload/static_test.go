package workload_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

func TestStaticWritesItsFile(t *testing.T) {
	dir := t.TempDir()
	for size, name := range map[int64]string{1: "1B", 1000: "1000B", 1 << 10: "1KB", 3 << 9: "1536B", 64 << 10: "64KB", 1 << 20: "1MB", 1025 << 10: "1025KB"} {
		w := must(workload.Static(workload.Go, dir, size))(t)
		path := filepath.Join(dir, name)
		written, err := os.ReadFile(path)
		e := w.Exchanges()
		if err != nil || int64(len(written)) != size || w.Mount() != dir || len(e) != 1 ||
			e[0].Method != "GET" || e[0].Target != "/"+name || e[0].Status != 200 || !bytes.Equal(e[0].Answer, written) {
			t.Errorf("%s has %d bytes, %v; want %d, and the one exchange about it", name, len(written), err, size)
		}
		before := must(os.Stat(path))(t)
		must(workload.Static(workload.Go, dir, size))(t)
		if after := must(os.Stat(path))(t); !os.SameFile(before, after) {
			t.Errorf("%s was right and is written again", name)
		}
		written[size-1]++
		for what, damage := range map[string][]byte{"other": written, "shorter": written[:size-1], "longer": append(written, 0)} {
			if err := os.WriteFile(path, damage, 0o644); err != nil {
				t.Fatal(err)
			}
			w := must(workload.Static(workload.Go, dir, size))(t)
			if got := must(os.ReadFile(path))(t); !bytes.Equal(got, w.Exchanges()[0].Answer) {
				t.Errorf("%s: a file that is %s stays", name, what)
			}
		}
	}
	if entries := must(os.ReadDir(dir))(t); len(entries) != 7 {
		t.Errorf("there are %v, want the seven files alone", entries)
	}
}

func TestStaticOfTheLargestFile(t *testing.T) {
	w := must(workload.Static(workload.Go, t.TempDir(), workload.MaxStaticSize))(t)
	ask := live(t, native.New(), w)
	if err := w.Check(ask(w.Request())); err != nil {
		t.Error(err)
	}
}

// An instance that is there for one request has memory for its file once.
func TestStaticTakesLittleAtFirst(t *testing.T) {
	const size = 8 << 20
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(context.Background())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	w := static(t, size)
	answer, memory := reactor(t, r, w)
	before := memory.Size()
	if err := w.Check(answer(w.Request())); err != nil {
		t.Error(err)
	}
	if took := memory.Size() - before; took > size*3/2 {
		t.Errorf("a file of %d bytes takes %d", size, took)
	}
}

func TestStaticErrors(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int64{-1, 0, workload.MaxStaticSize + 1} {
		if _, err := workload.Static(workload.Go, dir, size); err == nil {
			t.Errorf("a size of %d is taken", size)
		}
	}
	if _, err := workload.Static(workload.Go, filepath.Join(dir, "absent"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its directory: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "2B"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := workload.Static(workload.Go, dir, 2); err == nil {
		t.Error("a directory is taken for its file")
	}
	if entries := must(os.ReadDir(dir))(t); len(entries) != 1 {
		t.Errorf("it leaves %v", entries)
	}
}

// A web guest is there in Go, and not as the program for one path.
func TestFormsOfWebGuests(t *testing.T) {
	for _, l := range workload.Languages() {
		w := must(workload.Static(l, t.TempDir(), 1))(t)
		for _, f := range []workload.Form{workload.Executable, workload.Command, workload.Reactor, workload.Server, workload.ServerRootFS, workload.CGI} {
			_, err := w.Artifact(t.Context(), f)
			want := l == workload.Go && f != workload.CGI
			var u *workload.Unavailable
			if want && err != nil || !want && (!errors.Is(err, workload.ErrNoForm) || !errors.As(err, &u) || u.Fix == "" || strings.Contains(u.Fix, "[]")) {
				t.Errorf("%s as %s: %v", l, f, err)
			}
		}
	}
	if e := workload.Hello(workload.Go).Exchanges(); e != nil {
		t.Errorf("hello has %v", e)
	}
}

// What is asked of a static guest beside its file, and the status of the answer.
var asked = []struct {
	request web.Request
	status  int
}{
	{web.Request{Method: "GET", Target: "/1KB?x=/y"}, 200},
	{web.Request{Method: "GET", Target: "/1KB", Body: []byte("\n\nbody")}, 200},
	{web.Request{Method: "GET", Target: "/absent"}, 404},
	{web.Request{Method: "GET", Target: "/"}, 404},
	{web.Request{Method: "GET", Target: "/."}, 404},
	{web.Request{Method: "GET", Target: "/.."}, 404},
	{web.Request{Method: "GET", Target: "/below"}, 404},
	{web.Request{Method: "GET", Target: "/below/1KB"}, 404},
	{web.Request{Method: "GET", Target: "/../1KB"}, 404},
	{web.Request{Method: "GET", Target: "//1KB"}, 404},
	{web.Request{Method: "GET", Target: "/1KB/"}, 404},
	{web.Request{Method: "GET", Target: "/%2e%2e"}, 404},
	{web.Request{Method: "GET", Target: "/" + strings.Repeat("n", 300)}, 404},
	{web.Request{Method: "POST", Target: "/1KB", Body: []byte("x")}, 405},
	{web.Request{Method: "DELETE", Target: "/1KB"}, 405},
	{web.Request{Method: "GET", Target: "/1KB"}, 200},
}

// static returns a guest in a directory that has a directory too.
func static(t *testing.T, size int64) *workload.Guest {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	must(workload.Static(workload.Go, filepath.Join(dir, "below"), 1<<10))(t)
	return must(workload.Static(workload.Go, dir, size))(t)
}

func TestStaticAsCalled(t *testing.T) {
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		if l != workload.Go {
			return
		}
		w := static(t, 1<<10)
		ask := live(t, r, w)
		for _, a := range asked {
			got, err := web.ParseResponse(ask(a.request.Append(nil)))
			if err != nil || got.Status != a.status || a.status == 200 != bytes.Equal(got.Body, w.Exchanges()[0].Answer) {
				t.Errorf("%.60s %s: status %d, %q, %v; want %d", a.request.Target, a.request.Method, got.Status, got.Body, err, a.status)
			}
		}
		for _, bad := range []string{"", "GET", "GET /1KB", "\n", "World"} {
			if got, err := web.ParseResponse(ask([]byte(bad))); err != nil || got.Status != 400 || len(got.Body) == 0 {
				t.Errorf("%q is answered %+v, %v; want status 400", bad, got, err)
			}
		}
		if got, err := web.ParseResponse(ask([]byte("GET /1KB\x00\n"))); err != nil || got.Status != 404 {
			t.Errorf("a name with a zero is answered %+v, %v; want status 404", got, err)
		}
		large := must(workload.Static(workload.Go, w.Mount(), 1<<20))(t)
		// Answers of every size, each after one that is shorter or longer.
		for _, again := range []*workload.Guest{large, w, large, w} {
			if err := again.Check(ask(again.Request())); err != nil {
				t.Error(err)
			}
		}
		// The file is read for each request.
		if err := os.WriteFile(filepath.Join(w.Mount(), "1KB"), []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := ask(w.Request()); string(got) != "200 application/octet-stream\nother" {
			t.Errorf("of a file that is another now the answer is %.60q", got)
		}
		if err := os.Remove(filepath.Join(w.Mount(), "1KB")); err != nil {
			t.Fatal(err)
		}
		var refused *workload.GuestError
		if err := w.Check(ask(w.Request())); !errors.As(err, &refused) || !strings.Contains(err.Error(), "404") {
			t.Errorf("of a file that is gone: %v, want a *GuestError that has the status", err)
		}
	})
}

func TestStaticAsServer(t *testing.T) {
	w := static(t, 1<<10)
	large := must(workload.Static(workload.Go, w.Mount(), 1<<20))(t)
	address := serve(t, w)
	for _, a := range asked {
		status, kind, body := exchange(t, address, a.request)
		want := "text/plain"
		if a.status == 200 {
			want = "application/octet-stream"
		}
		if status != a.status || kind != want || a.status == 200 != bytes.Equal(body, w.Exchanges()[0].Answer) {
			t.Errorf("%s %.60s: status %d, %s, %.60q; want %d, %s", a.request.Method, a.request.Target, status, kind, body, a.status, want)
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 8 {
				e := []*workload.Guest{w, large}[(i+j)%2].Exchanges()[0]
				if status, _, body := exchange(t, address, web.Request{Method: e.Method, Target: e.Target}); status != e.Status || !bytes.Equal(body, e.Answer) {
					t.Errorf("%s: status %d and %d bytes, want %d and %d", e.Target, status, len(body), e.Status, len(e.Answer))
				}
			}
		})
	}
	wg.Wait()
}

// exchange sends a request with its target as it is.
func exchange(t *testing.T, address string, r web.Request) (status int, contentType string, body []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", r.Method, r.Target, len(r.Body), r.Body)
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Error(err)
		return 0, "", nil
	}
	body, err = io.ReadAll(a.Body)
	if err != nil || a.ContentLength != int64(len(body)) {
		t.Errorf("%s: %d bytes of %d, %v", r.Target, len(body), a.ContentLength, err)
	}
	return a.StatusCode, a.Header.Get("Content-Type"), body
}

// The working directory of a server is where its files are, whatever the harness's.
func TestStaticOverItsDirectory(t *testing.T) {
	w := static(t, 1<<10)
	moved := w.WithMount(t.TempDir())
	if !slices.Equal(moved.Request(), w.Request()) || moved.Mount() == w.Mount() {
		t.Error("the same guest elsewhere is another")
	}
	if got, err := web.ParseResponse(converse(t, moved, true).ask(moved.Request())); err != nil || got.Status != 404 {
		t.Errorf("in another directory: %+v, %v", got, err)
	}
}
