package native_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// source is a server as the form asks for one. It ends when it is asked to.
const source = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	fmt.Println("starting on", os.Args[1])
	http.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if string(b) == "end" {
			fmt.Fprintln(os.Stderr, "asked to end")
			os.Exit(5)
		}
		fmt.Fprintf(w, "Hello, %s!", b)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], nil))
	os.Exit(1)
}
`

func prepare(t *testing.T) runtime.ServerImage {
	t.Helper()
	goTool, _, err := workload.CompilerGo(t.Context())
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "server")
	if out, err := exec.CommandContext(t.Context(), goTool, "build", "-o", program, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w := workload.Prebuilt{Label: "greeter", Files: map[workload.Form]string{workload.Server: program}}
	img, err := native.New().(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(program); err != nil || img.Bytes() != info.Size() {
		t.Errorf("the image has %d bytes, error %v", img.Bytes(), err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// Guests of every language start with the little environment that they get.
func TestStart(t *testing.T) {
	for _, l := range workload.Languages() {
		t.Run(string(l), func(t *testing.T) {
			w := workload.Hello(l)
			img, err := native.New().Prepare(t.Context(), w)
			if errors.As(err, new(*runtime.Unavailable)) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(inst.Close(), img.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// post tries until the service takes the connection or has ended.
func post(svc runtime.Service, body string) (string, error) {
	for {
		r, err := http.Post("http://"+svc.Address()+"/", "", strings.NewReader(body))
		if err == nil {
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			return string(b), err
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return "", svc.Explain(err)
		}
		select {
		case <-svc.Ended():
			return "", svc.Explain(err)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestServe(t *testing.T) {
	img := prepare(t)
	tl := runtime.NewTimeline(time.Now())
	svc, err := img.Serve(t.Context(), "", tl.Mark)
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	if tl.Durations[runtime.Create] <= 0 || tl.Durations[runtime.Create] != tl.FirstAnswer() {
		t.Errorf("phases %v", tl.Durations)
	}
	if answer, err := post(svc, "you"); err != nil || answer != "Hello, you!" {
		t.Errorf("answer %q, error %v", answer, err)
	}
	second, err := img.Serve(t.Context(), svc.Address(), func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	<-second.Ended()
	err = second.Explain(errors.New("no answer"))
	for _, say := range []string{"exit status 1", svc.Address(), "address already in use"} {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("a port that is taken: %v", err)
		}
	}
	for range 2 {
		if err := errors.Join(svc.Close(), second.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := syscall.Kill(svc.Scope().Own[0], 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestServiceEnds(t *testing.T) {
	img := prepare(t)
	svc, err := img.Serve(t.Context(), "", func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	defer svc.Close()
	_, err = post(svc, "end")
	for _, say := range []string{"exit status 5", "starting on " + svc.Address(), "asked to end"} {
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("error %v does not say %q", err, say)
		}
	}
	<-svc.Ended()
}

func TestNoBridge(t *testing.T) {
	_, err := native.New().(runtime.Server).PrepareServer(t.Context(), workload.Hello(workload.Go), runtime.ServeOptions{Bridge: true})
	if !errors.As(err, new(*runtime.Unavailable)) || !errors.Is(err, workload.ErrNoForm) {
		t.Errorf("error %v, want an *Unavailable that wraps ErrNoForm", err)
	}
}

func TestServeFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := prepare(t).Serve(ctx, "", func(runtime.Phase, time.Time) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended gave %v", err)
	}
	var u *runtime.Unavailable
	if _, err := native.New().(runtime.Server).PrepareServer(t.Context(), workload.Prebuilt{Label: "none"}, runtime.ServeOptions{}); !errors.As(err, &u) {
		t.Errorf("a workload without a server gave %v", err)
	}
}

// Many are started at a time, live side by side and are closed at a time.
func TestCrowd(t *testing.T) {
	w := workload.Hello(workload.C)
	img, err := native.New().Prepare(t.Context(), w)
	rundirtest.Require(t, "native", err)
	host := rundirtest.Watch(t)
	rundirtest.Crowd(t, host, img, w, 100, 4)
}

// A guest works in the directory that it is given, also where its program's path
// is relative to the harness's.
func TestMounted(t *testing.T) {
	for _, l := range workload.Languages() {
		t.Run(string(l), func(t *testing.T) {
			f, op := written(t, l, filepath.Join(t.TempDir(), "of the guest"))
			path, err := op.Artifact(t.Context(), workload.Executable)
			if errors.As(err, new(*runtime.Unavailable)) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			t.Chdir(filepath.Dir(path))
			img, err := native.New().Prepare(t.Context(), relative{op, filepath.Base(path)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := img.Start(t.Context(), unmarked); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), f.Mount()) || !strings.HasPrefix(err.Error(), "native: workload fileio: ") {
				t.Errorf("starting in no directory: %v", err)
			}
			if err := os.Mkdir(f.Mount(), 0o700); err != nil {
				t.Fatal(err)
			}
			inst, _, err := runtime.FirstAnswer(t.Context(), img, op.Request(), op.Check)
			if err != nil {
				t.Fatal(err)
			}
			r, err := os.Open(filepath.Join(f.Mount(), f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Verify(r), r.Close(), inst.Close(), img.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	_, op := written(t, workload.C, "relative")
	if _, err := native.New().Prepare(t.Context(), op); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `"relative"`) {
		t.Errorf("a relative directory: %v", err)
	}
}

func unmarked(runtime.Phase, time.Time) {}

// written returns a file in dir and the operation that writes it.
func written(t *testing.T, l workload.Language, dir string) (*workload.File, *workload.FileOp) {
	t.Helper()
	f, err := workload.NewFile(l, "left.dat", 1<<20, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	f = f.WithMount(dir)
	op, err := f.Write(7)
	if err != nil {
		t.Fatal(err)
	}
	return f, op
}

// relative is a workload whose program's path is not absolute.
type relative struct {
	*workload.FileOp
	path string
}

func (r relative) Artifact(context.Context, workload.Form) (string, error) { return r.path, nil }
