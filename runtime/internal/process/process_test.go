package process_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
)

func shell(t *testing.T) string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs a shell")
	}
	return sh
}

func TestExplain(t *testing.T) {
	tests := []struct {
		name, script string
		says         []string
	}{
		{"exits", "echo broken >&2; exit 7", []string{"exit status 7", "broken"}},
		{"is killed", "kill -9 $$", []string{"signal: killed"}},
		{"says nothing", "exit 0", []string{"exit status 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := process.StartWorker(t.Context(), process.Program{Path: shell(t), Args: []string{"-c", tt.script}})
			var exit *process.ExitError
			if !errors.As(err, &exit) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("error %v", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
		})
	}
}

func TestStartOfNoProgram(t *testing.T) {
	_, _, _, err := process.StartWorker(t.Context(), process.Program{Path: "/no/such/program"})
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("error %v", err)
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Program{Path: shell(t), Args: []string{"-c", "pwd"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Out)
	if err := errors.Join(err, p.Close()); err != nil || string(out) != dir+"\n" {
		t.Errorf("it is in %q, want %q, error %v", out, dir, err)
	}
	none := filepath.Join(dir, "none")
	if _, err := process.Start(process.Program{Path: shell(t), Dir: none}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("starting in no directory: %v", err)
	}
}

// What the user has set up for programs is not what is measured.
func TestEnvironment(t *testing.T) {
	program, err := exec.LookPath("env")
	if err != nil {
		t.Skip("needs the program env")
	}
	for _, name := range []string{"HOME", "PYTHONPATH", "PYTHONNOUSERSITE", "NODE_OPTIONS", "LC_ALL"} {
		t.Setenv(name, "/set/by/the/user")
	}
	for _, name := range []string{"PATH", "TMPDIR", "LD_LIBRARY_PATH", "WASMBENCH_TEST"} {
		t.Setenv(name, "/kept")
	}
	p, err := process.Start(process.Program{Path: program})
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Out)
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	var named []string
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.HasPrefix(name, "WASMBENCH_") {
			name = "WASMBENCH_*"
		}
		if !strings.Contains(process.Environment, name) || strings.Contains(value, "user") {
			t.Errorf("a child has %q, of which %q does not tell", line, process.Environment)
		}
		named = append(named, name)
	}
	for name := range strings.FieldsFuncSeq(process.Environment, func(r rune) bool { return r == ',' || r == ' ' }) {
		if name != "and" && !slices.Contains(named, name) {
			t.Errorf("a child does not have %s", name)
		}
	}
}

// A worker that does not end with its input is killed.
func TestCloseKills(t *testing.T) {
	w, _, _, err := process.StartWorker(t.Context(), process.Program{Path: shell(t), Args: []string{"-c", "printf 'wb1\\n'; exec sleep 600"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(w.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestContextEndsAStart(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	cancel(why)
	if _, _, _, err := process.StartWorker(ctx, process.Program{Path: shell(t), Args: []string{"-c", "sleep 600"}}); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestWorkerAnswers(t *testing.T) {
	w, _, _, err := process.StartWorker(t.Context(), process.Program{Path: shell(t), Args: []string{"-c", `printf 'wb1\n'; head -c 6 >/dev/null; printf '\002\000\000\000ok'; cat >/dev/null`}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := w.Call(t.Context(), []byte("hi"))
	if err != nil || string(answer) != "ok" {
		t.Errorf("answer %q, error %v", answer, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Call(t.Context(), nil); err == nil || errors.Is(err, worker.ErrProtocol) {
		t.Errorf("a call of a closed worker gave %v", err)
	}
}
