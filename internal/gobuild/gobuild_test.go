package gobuild_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/gobuild"
)

// hello is a module with one program, which prints what the package word has.
func hello(t *testing.T) gobuild.Program {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	compiled, err := exec.Command(goTool, "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOCACHE", strings.TrimSpace(string(compiled)))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := gobuild.Program{
		Kind: "hello", Tool: goTool, Dir: t.TempDir(), Package: "./cmd/hello", Flags: []string{"-trimpath", "-ldflags=-s -w"},
		Env: []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0", "WORD=it's $HOME"},
	}
	write(t, p, "go.mod", "module example.com/hello\n\ngo 1.26\n")
	write(t, p, "cmd/hello/main.go", "package main\n\nimport (\n\t\"os\"\n\n\t\"example.com/hello/word\"\n)\n\nfunc main() { os.Stdout.WriteString(word.Word) }\n")
	write(t, p, "word/word.go", "package word\n\nconst Word = \"first\"\n")
	write(t, p, "word/other.go", "//go:build other\n\npackage word\n\nfunc init() { print(\"other \") }\n")
	return p
}

func write(t *testing.T, p gobuild.Program, name, text string) {
	t.Helper()
	file := filepath.Join(p.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// says builds the program and returns its path and what it says.
func says(t *testing.T, p gobuild.Program) (path, said string) {
	t.Helper()
	path, err := p.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path, string(out)
}

// What decides of the program decides where it is; the directory does not.
func TestBuild(t *testing.T) {
	p := hello(t)
	first, said := says(t, p)
	if said != "first" || filepath.Base(first) != "hello" {
		t.Errorf("%s says %q", first, said)
	}
	made, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	moved := p
	moved.Dir = t.TempDir()
	if err := os.CopyFS(moved.Dir, os.DirFS(p.Dir)); err != nil {
		t.Fatal(err)
	}
	for what, same := range map[string]gobuild.Program{"again": p, "elsewhere": moved} {
		path, _ := says(t, same)
		if now, err := os.Stat(path); err != nil || !os.SameFile(made, now) || !now.ModTime().Equal(made.ModTime()) {
			t.Errorf("%s: %s (%v), after %s", what, path, err, first)
		}
	}
	other, linked, named := p, p, p
	other.Flags = []string{"-trimpath", "-tags=other"}
	linked.Made = []string{"a library"}
	named.Name = "greeter"
	for what, q := range map[string]gobuild.Program{"other first": other, "first": linked} {
		if path, said := says(t, q); path == first || said != what {
			t.Errorf("%s says %q, want another that says %q", path, said, what)
		}
	}
	if path, _ := says(t, named); filepath.Base(path) != "greeter" {
		t.Errorf("the name of %s", path)
	}
	write(t, moved, "word/word.go", "package word\n\nconst Word = \"second\"\n")
	write(t, moved, "cmd/hello/more.go", "package main\n")
	moved.Flags = []string{"-trimpath", "-v"} // this process has not asked for it so
	if path, said := says(t, moved); path == first || said != "second" {
		t.Errorf("after a change of its sources %s says %q", path, said)
	}
}

func TestBuildFails(t *testing.T) {
	p := hello(t)
	write(t, p, "word/word.go", "package word\n\nconst Wrod = 1\n")
	_, err := p.Build(t.Context())
	failed := (*gobuild.Error)(nil)
	if !errors.As(err, &failed) || !strings.Contains(failed.Said, "word.Word") || !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("%v", err)
	}
	for _, part := range []string{p.Dir, "GOWORK=off", "./cmd/hello"} {
		if !strings.Contains(failed.Command, part) {
			t.Errorf("the command %s does not name %s", failed.Command, part)
		}
	}
	// The command is one that tells the same.
	if out, err := exec.Command("sh", "-c", failed.Command).CombinedOutput(); err == nil || !strings.Contains(string(out), "word.Word") {
		t.Errorf("%s: %v, %s", failed.Command, err, out)
	}
	write(t, p, "word/word.go", "package word\n\nconst Word = \"mended\"\n")
	if _, said := says(t, p); said != "mended" {
		t.Errorf("mended it says %q", said)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	p.Made = []string{"anew"}
	if _, err := p.Build(ctx); !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
}
