package workload_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/sources"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// goGuests are a guest as it is built of the embedded sources and in the module.
var goGuests = map[string]*workload.Guest{
	"embedded": workload.Hello(workload.Go),
	"module":   workload.WithModules(workload.Hello(workload.Go)),
}

// Whatever the harness is told to compile for, a process is for this machine.
func TestGuestsAreForTheHost(t *testing.T) {
	for name, g := range goGuests {
		for _, f := range []workload.Form{workload.Executable, workload.Server} {
			t.Run(name+"/"+string(f), func(t *testing.T) {
				before, err := g.Artifact(t.Context(), f)
				skip(t, err)
				for variable, other := range map[string]string{"GOOS": "plan9", "GOARCH": "riscv64", "GOFLAGS": "-tags=cgi"} {
					t.Setenv(variable, other)
				}
				after, err := g.Artifact(t.Context(), f)
				if err != nil || before != after {
					t.Errorf("for another machine it is %s, %v; want %s", after, err, before)
				}
				self, program := machine(t, "/proc/self/exe"), machine(t, after)
				if self != program {
					t.Errorf("it is for %v, want %v", program, self)
				}
			})
		}
	}
}

func machine(t *testing.T, path string) elf.Machine {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Machine
}

// What is compiled for another kind of the same processor is another program.
func TestGuestsAreForTheProcessorAskedFor(t *testing.T) {
	real, err := exec.LookPath("go")
	skip(t, err)
	level := "GO" + strings.ToUpper(goruntime.GOARCH)
	// To compile the standard library for one takes half a minute.
	dir := t.TempDir()
	front := "#!/bin/sh\n[ $1 = build ] || exec " + real + " \"$@\"\nuntil [ $1 = -o ]; do shift; done\necho $" + level + " >$2\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(front), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, kind := range []string{"v1", "v3", "v1"} {
		t.Setenv(level, kind)
		got := must(os.ReadFile(must(goGuests["embedded"].Artifact(t.Context(), workload.Executable))(t)))(t)
		if string(got) != kind+"\n" {
			t.Errorf("with %s=%s the program is that of %s", level, kind, got)
		}
	}
}

// What go env -w has written does not decide what is built.
func TestGuestsWithFlagsOfTheUser(t *testing.T) {
	for name, g := range goGuests {
		t.Run(name, func(t *testing.T) {
			before, err := g.Artifact(t.Context(), workload.Executable)
			skip(t, err)
			file := filepath.Join(t.TempDir(), "env")
			if err := os.WriteFile(file, []byte("GOFLAGS=-tags=server\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Setenv("GOENV", file)
			t.Setenv("GOFLAGS", "")
			compiled, err := exec.Command("go", "env", "GOCACHE").Output()
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("GOCACHE", strings.TrimSpace(string(compiled)))
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			after, err := g.Artifact(t.Context(), workload.Executable)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(must(os.ReadFile(before))(t), must(os.ReadFile(after))(t)) {
				t.Error("it is another program")
			}
		})
	}
}

// A guest is built anew when what it is made of has changed, and not for others.
func TestSourcesOfGuests(t *testing.T) {
	for name, want := range map[string][]string{
		"hello":  {"guests/go/driver", "guests/go/hello", "guests/go/web"},
		"static": {"guests/go/driver", "guests/go/static", "guests/go/web"},
		"order":  {"guests/go/driver", "guests/go/order", "guests/go/request", "guests/go/web"},
		"image":  {"guests/go/driver", "guests/go/image", "guests/go/number", "guests/go/request", "guests/go/web"},
		"db":     {"guests/go/db", "guests/go/driver", "guests/go/sqldb", "guests/go/sqlwire", "guests/go/web", "shop", "store"},
	} {
		files := must(workload.SourcesGo(name))(t)
		var packages []string
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s is made of %s", name, file)
			}
			packages = append(packages, path.Dir(file))
		}
		if got := slices.Compact(packages); !slices.Equal(got, want) {
			t.Errorf("%s is made of %v, want %v", name, got, want)
		}
	}
	files := must(workload.SourcesC("order"))(t)
	for file, want := range map[string]bool{"order.c": true, "worker.c": true, "buffer.c": true, "fields.h": true, "hello.c": false, "cgi.c": false, "order.cgi.wasm": false} {
		if slices.Contains(files, "guests/c/"+file) != want {
			t.Errorf("the C guest order has %s: %v; it is made of %v", file, !want, files)
		}
	}
}

// Importers do not pay for a server or a database that they may not use.
func TestImportersStaySmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, sources.Module+"/workload") {
		t.Fatalf("go list has %v", packages)
	}
	for _, p := range packages {
		if p == "net" || strings.HasPrefix(p, "net/http") || strings.HasPrefix(p, "modernc.org") {
			t.Errorf("package workload links %s", p)
		}
	}
}

// The module that is found may be another version than the one in this program.
func TestGuestsOfTwoVersions(t *testing.T) {
	g := goGuests["module"]
	here := must(filepath.Abs("."))(t)
	program := must(os.Executable())(t)
	importer, module := t.TempDir(), t.TempDir()
	mod := "module importer\n\ngo 1.26\n\nrequire " + sources.Module + " v0.0.0\n\nreplace " + sources.Module + " => " + module + "\n"
	if err := errors.Join(
		os.WriteFile(filepath.Join(importer, "go.mod"), []byte(mod), 0o644),
		os.WriteFile(filepath.Join(module, "go.mod"), []byte("module "+sources.Module+"\n\ngo 1.26\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	for _, file := range must(workload.SourcesGo("hello"))(t) {
		to := filepath.Join(module, "workload", file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, must(os.ReadFile(filepath.Join(here, file)))(t), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(importer)
	if _, err := g.Artifact(t.Context(), workload.Executable); err != nil {
		t.Fatalf("the same version: %v", err)
	}
	refused := func(what, file string) {
		t.Helper()
		_, err := g.Artifact(t.Context(), workload.Executable)
		var u *workload.Unavailable
		if !errors.As(err, &u) || u.Fix == "" {
			t.Errorf("%s: %v, want an *Unavailable", what, err)
			return
		}
		for _, name := range []string{file, module, program} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v does not name %s", what, err, name)
			}
		}
	}
	change := func(file string, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(module, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const added = "workload/guests/go/driver/more.go"
	change(added, "package driver\n")
	refused("with a file more", added)
	if err := os.Remove(filepath.Join(module, added)); err != nil {
		t.Fatal(err)
	}
	const changed = "workload/guests/go/hello/main.go"
	change(changed, string(must(os.ReadFile(filepath.Join(module, changed)))(t))+"\n// Another.\n")
	refused("with another file", changed)
}

// A program whose sources may import modules comes from where these are known.
func TestGuestsWithModules(t *testing.T) {
	w := workload.WithModules(workload.Hello(workload.Go))
	if got := converse(t, w, true).ask(w.Request()); w.Check(got) != nil {
		t.Error(w.Check(got))
	}
	got, err := post("http://"+serve(t, w)+"/", w.Request())
	if err := errors.Join(err, w.Check(got)); err != nil {
		t.Error(err)
	}
	for _, f := range []workload.Form{workload.Executable, workload.Server} {
		path, err := w.Artifact(t.Context(), f)
		skip(t, err)
		again, err := w.Artifact(t.Context(), f)
		if err != nil || again != path {
			t.Errorf("a second Artifact as %s = %s, %v; the first was %s", f, again, err, path)
		}
		if embedded, err := workload.Hello(workload.Go).Artifact(t.Context(), f); err != nil || embedded == path {
			t.Errorf("as %s it is %s, which is that of the embedded sources: %v", f, path, err)
		}
	}
	// A module imports nothing but the embedded sources.
	module, err := w.Artifact(t.Context(), workload.Command)
	skip(t, err)
	if embedded, err := workload.Hello(workload.Go).Artifact(t.Context(), workload.Command); err != nil || embedded != module {
		t.Errorf("the module is %s, want %s, %v", module, embedded, err)
	}
}

func TestGuestsWithModulesAreNotHere(t *testing.T) {
	w := workload.WithModules(workload.Hello(workload.Go))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Run("ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Artifact(ctx, workload.Executable); !errors.Is(err, context.Canceled) || errors.As(err, new(*workload.Unavailable)) {
			t.Errorf("error %v, want context.Canceled alone", err)
		}
	})
	t.Run("elsewhere", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module other\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
		t.Setenv("GOPROXY", "off")
		_, err := w.Artifact(t.Context(), workload.Executable)
		var u *workload.Unavailable
		if !errors.As(err, &u) || u.Err == nil || !strings.Contains(u.Fix, "go.mod") {
			t.Errorf("error %v, want an *Unavailable with a cause whose remedy names go.mod", err)
		}
	})
}
