package workload_test

import (
	"context"
	"errors"
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
	return []workload.Workload{workload.Hello(l), fib}
}

func TestEveryGuestInEveryForm(t *testing.T) {
	for _, l := range workload.Languages() {
		for _, w := range catalogue(t, l) {
			for _, f := range []workload.Form{workload.Executable, workload.Command, workload.Reactor, workload.RootFS} {
				t.Run(w.Name()+"/"+string(l)+"/"+string(f), func(t *testing.T) {
					path, err := w.Artifact(t.Context(), f)
					if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
						t.Skip(err)
					}
					if err != nil {
						t.Fatal(err)
					}
					again, err := w.Artifact(t.Context(), f)
					if err != nil || again != path {
						t.Errorf("a second Artifact = %s, %v; the first was %s", again, err, path)
					}
					if f == workload.RootFS {
						path = filepath.Join(path, "guest")
					}
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					magic := "\x7fELF"
					if f == workload.Command || f == workload.Reactor {
						magic = "\x00asm"
					}
					if !strings.HasPrefix(string(b), magic) {
						t.Errorf("%s begins with %q, want %q", path, b[:4], magic)
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
	if u.Why == "" || u.Fix == "" || !strings.Contains(u.What, "cobol") {
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

func TestArtifactHonoursContext(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := workload.Hello(workload.Go).Artifact(ctx, workload.Command); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
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
	for _, n := range []int{-1, 94} {
		if _, err := workload.Fibonacci(workload.C, n); err == nil {
			t.Errorf("n=%d was accepted", n)
		}
	}
}

// The modules of the C guests that are committed are those that build.sh makes
// of the committed sources.
func TestModulesAreBuiltFromTheirSources(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		t.Skip("clang is not installed: install clang, lld, wasi-libc and libclang-rt-dev-wasm32 to rebuild the modules")
	}
	built, err := os.ReadFile("guests/c/BUILT_WITH")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(version), strings.TrimSpace(string(built))) {
		t.Skipf("the modules were built with %s, here is %s", built, version)
	}
	dir := t.TempDir()
	if out, err := exec.Command("guests/c/build.sh", dir).CombinedOutput(); err != nil {
		if os.Getenv("WASMBENCH_REQUIRE") != "" {
			t.Fatalf("build.sh: %v\n%s", err, out)
		}
		t.Skipf("clang does not build for WASI here (install lld, wasi-libc and libclang-rt-dev-wasm32): %v\n%s", err, out)
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
