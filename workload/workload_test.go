package workload_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

func catalogue(t testing.TB, l workload.Language) []workload.Workload {
	fib, err := workload.Fibonacci(l, 20)
	if err != nil {
		t.Fatal(err)
	}
	return []workload.Workload{workload.Hello(l), fib, workload.WebAPI(l), workload.Microservice(l), workload.DataProcessor(l), workload.JSON(l)}
}

// skip skips the test where err is about what this machine does not have.
func skip(t testing.TB, err error) {
	t.Helper()
	if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryGuestInEveryForm(t *testing.T) {
	const program, module, script = "\x7fELF", "\x00asm", "#!/"
	compiled := map[workload.Form]string{
		workload.Executable: program, workload.RootFS: program,
		workload.Command: module, workload.Reactor: module, workload.CGI: module,
	}
	served := maps.Clone(compiled)
	served[workload.Server], served[workload.ServerRootFS] = program, program
	interpreted := map[workload.Form]string{
		workload.Executable: script, workload.RootFS: script, workload.Server: script, workload.ServerRootFS: script,
	}
	begins := map[workload.Language]map[workload.Form]string{
		workload.C: compiled, workload.Go: served,
		workload.Node: interpreted, workload.NodeJitless: interpreted, workload.Python: interpreted,
	}
	for _, l := range workload.Languages() {
		for _, w := range catalogue(t, l) {
			for f := range served {
				t.Run(w.Name()+"/"+string(l)+"/"+string(f), func(t *testing.T) {
					path, err := w.Artifact(t.Context(), f)
					begin, ok := begins[l][f]
					if !ok {
						var u *workload.Unavailable
						if !errors.As(err, &u) || !errors.Is(err, workload.ErrNoForm) || u.Fix == "" {
							t.Errorf("%s, %v; want an *Unavailable that wraps ErrNoForm", path, err)
						}
						return
					}
					skip(t, err)
					again, err := w.Artifact(t.Context(), f)
					if err != nil || again != path {
						t.Errorf("a second Artifact = %s, %v; the first was %s", again, err, path)
					}
					if f == workload.RootFS || f == workload.ServerRootFS {
						path = filepath.Join(path, "guest")
					}
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(string(b), begin) {
						t.Errorf("%s begins with %q, want %q", path, b[:4], begin)
					}
				})
			}
		}
	}
}

func TestArtifactOfUnknownGuest(t *testing.T) {
	_, err := workload.Hello("cobol").Artifact(t.Context(), workload.Executable)
	var u *workload.Unavailable
	if !errors.As(err, &u) {
		t.Fatalf("error %v is no *Unavailable", err)
	}
	if !errors.Is(err, workload.ErrNoForm) || u.Why == "" || u.Fix == "" || !strings.Contains(u.What, "cobol") {
		t.Errorf("%+v does not say what, why and how to mend it", u)
	}
}

func TestArtifactWithoutCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	_, err := workload.Hello(workload.C).Artifact(t.Context(), workload.Executable)
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "CC") {
		t.Errorf("error %v neither wraps exec.ErrNotFound nor names the remedy", err)
	}
}

func TestArtifactWithoutInterpreter(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for l, pkg := range map[workload.Language]string{workload.Node: "nodejs", workload.NodeJitless: "nodejs", workload.Python: "python3"} {
		_, err := workload.Hello(l).Artifact(t.Context(), workload.Executable)
		if !errors.As(err, new(*workload.Unavailable)) || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), pkg) {
			t.Errorf("%s: error %v is no *Unavailable, does not wrap exec.ErrNotFound or does not name the package %s", l, err, pkg)
		}
	}
}

// An interpreter may be a front that chooses another, and that may lie where the
// first line of a script cannot name it.
func TestInterpreterBehindAFront(t *testing.T) {
	path, version, err := workload.Interpreter(t.Context(), workload.Python)
	skip(t, err)
	for name, test := range map[string]struct {
		dir  string
		want error // of Artifact
	}{
		"front": {"front", nil},
		"space": {"a space", new(workload.Unavailable)},
		"long":  {strings.Repeat("long", 60), new(workload.Unavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), test.dir)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			answer := path
			if test.want != nil {
				answer = filepath.Join(dir, "python3")
			}
			front := fmt.Sprintf("#!/bin/sh\necho '%s'\necho 9.9.9\n", answer)
			if err := os.WriteFile(filepath.Join(dir, "python3"), []byte(front), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			got, gotVersion, err := workload.Interpreter(t.Context(), workload.Python)
			if err != nil || got != answer || gotVersion != "9.9.9" {
				t.Errorf("Interpreter = %s, %s, %v; want %s, 9.9.9 (the real one is %s)", got, gotVersion, err, answer, version)
			}
			script, err := workload.Hello(workload.Python).Artifact(t.Context(), workload.Executable)
			if test.want != nil {
				if !errors.As(err, new(*workload.Unavailable)) {
					t.Errorf("error %v, want an *Unavailable", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(script); err != nil || !strings.HasPrefix(string(b), "#!"+path+"\n") {
				t.Errorf("the script is %q, %v", b, err)
			}
		})
	}
}

func TestArtifactHonoursContext(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for l, f := range map[workload.Language]workload.Form{workload.Go: workload.Command, workload.Node: workload.Executable, workload.Python: workload.RootFS} {
		if _, err := workload.Hello(l).Artifact(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("%s as %s: error %v, want context.Canceled", l, f, err)
		}
	}
}

func TestFibonacciAnswers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 1: "1", 2: "1", 20: "6765", 40: "102334155", 93: "12200160415121876738"} {
		w, err := workload.Fibonacci(workload.C, n)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Check([]byte(want)); err != nil {
			t.Errorf("n=%d: %v", n, err)
		}
		var wrong *workload.WrongAnswer
		if err := w.Check([]byte(want + "1")); !errors.As(err, &wrong) {
			t.Errorf("n=%d: a wrong answer was accepted", n)
		}
	}
	for _, l := range workload.Languages() {
		most := workload.MaxFibonacci
		if l == workload.Node || l == workload.NodeJitless {
			most = workload.MaxFibonacciNode
		}
		if _, err := workload.Fibonacci(l, most); err != nil {
			t.Error(err)
		}
		for _, n := range []int{-1, most + 1} {
			if _, err := workload.Fibonacci(l, n); err == nil {
				t.Errorf("%s: n=%d was accepted", l, n)
			}
		}
	}
}

// The modules of the C guests that are committed are those that build.sh makes
// of the committed sources.
func TestModulesAreBuiltFromTheirSources(t *testing.T) {
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("clang is not installed: install clang, lld, wasi-libc, libclang-rt-dev-wasm32 and libstb-dev to rebuild the modules")
	}
	const with = "BUILT_WITH" // which is written before anything is built
	built := must(os.ReadFile(filepath.Join("guests/c", with)))(t)
	dir := t.TempDir()
	out, err := exec.Command("guests/c/build.sh", dir).CombinedOutput()
	if here, unread := os.ReadFile(filepath.Join(dir, with)); unread == nil && string(here) != string(built) {
		t.Skipf("the modules were built with\n%sand here is\n%s", built, here)
	}
	if err != nil {
		if os.Getenv("WASMBENCH_REQUIRE") != "" {
			t.Fatalf("build.sh: %v\n%s", err, out)
		}
		t.Skipf("clang does not build for WASI here (install lld, wasi-libc, libclang-rt-dev-wasm32 and libstb-dev): %v\n%s", err, out)
	}
	modules, err := filepath.Glob("guests/c/*.wasm")
	if err != nil || len(modules) == 0 {
		t.Fatalf("no modules are committed: %v", err)
	}
	for _, m := range modules {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(m)))
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := os.ReadFile(m)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what build.sh makes of its sources: run guests/c/build.sh and commit what it writes", m)
		}
	}
}
