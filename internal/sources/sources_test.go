package sources_test

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/sources"
)

const version = "v1.2.3"

func goTool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Skip("go is not on PATH")
	}
	return path
}

// write makes files, each with the directories above it.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs the go command, or a program, in a directory and returns what it prints.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out)
	}
	return strings.TrimSpace(string(out))
}

// publish makes a proxy that has a module of a go.mod and this package alone, as
// version, and an empty module cache, and returns that cache.
func publish(t *testing.T, path string) string {
	t.Helper()
	source, err := os.ReadFile("sources.go")
	if err != nil {
		t.Fatal(err)
	}
	proxy, kept := t.TempDir(), t.TempDir()
	mod := "module " + sources.Module + "\n\ngo 1.26\n"
	at := filepath.Join(proxy, path, "@v")
	write(t, at, map[string]string{version + ".info": `{"Version":"` + version + `"}`, version + ".mod": mod})
	f, err := os.Create(filepath.Join(at, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, content := range map[string]string{"go.mod": mod, "internal/sources/sources.go": string(source)} {
		w, err := z.Create(path + "@" + version + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "file://"+proxy)
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOMODCACHE", kept)
	t.Setenv("GOFLAGS", "-modcacherw")
	return kept
}

// importer makes a module that imports this package, and returns its program, which
// prints what Dir returns.
func importer(t *testing.T, dir, requirement string) (program string) {
	t.Helper()
	write(t, dir, map[string]string{
		"go.mod": "module " + sources.Module + "/importer\n\ngo 1.26\n\n" + requirement + "\n",
		"main.go": `package main

import (
	"context"
	"fmt"
	"os"

	"` + sources.Module + `/internal/sources"
)

func main() {
	dir, err := sources.Dir(context.Background(), os.Args[1])
	fmt.Println(dir, err)
}
`,
	})
	program = filepath.Join(t.TempDir(), "program")
	run(t, dir, goTool(t), "build", "-mod=mod", "-o", program, ".")
	return program
}

func TestDir(t *testing.T) {
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	required := "module importer\n\ngo 1.26\n\nrequire " + sources.Module + " v0.0.0\n\nreplace " + sources.Module + " => " + checkout + "\n"
	for name, test := range map[string]struct {
		mod  string
		want string
	}{
		"here":                {"", checkout},
		"module that needs":   {required, checkout},
		"module that doesn't": {"module other\n\ngo 1.26\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			// Nothing is fetched: what is found is here.
			t.Setenv("GOPROXY", "off")
			if test.mod != "" {
				dir := t.TempDir()
				write(t, dir, map[string]string{"go.mod": test.mod})
				t.Chdir(dir)
			}
			got, err := sources.Dir(t.Context(), goTool(t))
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("Dir = %q, %v; want %q", got, err, test.want)
			}
			if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || !strings.Contains(err.Error(), "not a known dependency")) {
				t.Errorf("error %v does not wrap what go ended with, or does not tell what it said", err)
			}
		})
	}
}

// An importer that vendors has the sources of all packages nowhere but where modules
// are kept.
func TestDirOfAnImporter(t *testing.T) {
	for name, of := range map[string]struct{ path, requirement string }{
		"required": {sources.Module, "require " + sources.Module + " " + version},
		"replaced": {"example.org/fork", "require " + sources.Module + " v1.0.0\n\nreplace " + sources.Module + " => example.org/fork " + version},
	} {
		t.Run(name, func(t *testing.T) {
			kept := publish(t, of.path)
			dir, elsewhere := t.TempDir(), t.TempDir()
			program := importer(t, dir, of.requirement)
			run(t, dir, goTool(t), "mod", "vendor")
			mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err != nil {
				t.Fatal(err)
			}
			want := filepath.Join(kept, of.path+"@"+version) + " <nil>"
			finds := func(where, dir string) {
				t.Helper()
				if got := run(t, dir, program, goTool(t)); got != want {
					t.Errorf("%s: %s; want %s", where, got, want)
				}
			}
			finds("beside a vendor directory", dir)
			finds("outside of any module", elsewhere)
			t.Setenv("GOFLAGS", "-modcacherw -mod=vendor")
			finds("with GOFLAGS=-mod=vendor", dir)
			if after, err := os.ReadFile(filepath.Join(dir, "go.mod")); err != nil || string(after) != string(mod) {
				t.Errorf("go.mod is %s now, %v", after, err)
			}
			// The modules are gone, and come from the proxy again.
			t.Setenv("GOMODCACHE", t.TempDir())
			want = strings.Replace(want, kept, os.Getenv("GOMODCACHE"), 1)
			finds("where they have to be downloaded", dir)
			t.Setenv("GOMODCACHE", t.TempDir())
			t.Setenv("GOPROXY", "off")
			if got := run(t, dir, program, goTool(t)); !strings.HasPrefix(got, "finding the sources") || !strings.Contains(got, "GOPROXY=off") {
				t.Errorf("where they cannot be downloaded: %s; want an error that has what go said", got)
			}
		})
	}
}

// A program knows the directory that replaced the module when it was built.
func TestDirThatReplaces(t *testing.T) {
	publish(t, sources.Module)
	fork := t.TempDir()
	source, err := os.ReadFile("sources.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, fork, map[string]string{"go.mod": "module " + sources.Module + "\n\ngo 1.26\n", "internal/sources/sources.go": string(source)})
	dir, elsewhere := t.TempDir(), t.TempDir()
	program := importer(t, dir, "require "+sources.Module+" v1.0.0\n\nreplace "+sources.Module+" => "+fork)
	for _, where := range []string{dir, elsewhere} {
		if got := run(t, where, program, goTool(t)); got != fork+" <nil>" {
			t.Errorf("in %s: %s, want %s", where, got, fork)
		}
	}
	if err := os.RemoveAll(fork); err != nil {
		t.Fatal(err)
	}
	if got := run(t, elsewhere, program, goTool(t)); !strings.Contains(got, fork) || !strings.Contains(got, "no such file") {
		t.Errorf("once it is gone: %s, want an error that names %s", got, fork)
	}
}

func TestDirHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if dir, err := sources.Dir(ctx, goTool(t)); !errors.Is(err, why) {
		t.Errorf("Dir = %q, %v; want an error that wraps the cause", dir, err)
	}
}
