package enginetest

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

var (
	//go:embed testdata/guest.c
	sourceC []byte
	//go:embed testdata/guest.go.txt
	sourceGo []byte
)

// build compiles a guest that reads and writes files, and that computes for as
// long as it is asked to: see testdata/guest.go.txt. It skips the test where the
// language has no compiler for it here.
func build(t testing.TB, l workload.Language, f workload.Form, out string) {
	t.Helper()
	compiler, file, source := "clang", "guest.c", sourceC
	args := []string{"--target=wasm32-wasi", "--sysroot=/usr", "-O2"}
	if f == workload.Reactor {
		args = append(args, "-mexec-model=reactor", "-DREACTOR")
	}
	if l == workload.Go {
		compiler, file, source = "go", "main.go", sourceGo
		args = []string{"build"}
		if f == workload.Reactor {
			args = append(args, "-buildmode=c-shared")
		}
	}
	path, err := exec.LookPath(compiler)
	if err != nil {
		t.Skip(&workload.Unavailable{What: "compiler " + compiler, Why: "it is not on PATH", Fix: "install it", Err: err})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), source, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append(args, "-o", out, file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		if l == workload.C {
			probe(t, path)
		}
		t.Fatalf("%v: %s", err, printed)
	}
}

// probe skips the test where clang has not what it needs for WebAssembly.
func probe(t testing.TB, clang string) {
	t.Helper()
	dir := t.TempDir()
	least := "#include <stdio.h>\n\nint main(void) { return puts(\"\") < 0; }\n"
	if err := os.WriteFile(filepath.Join(dir, "least.c"), []byte(least), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), clang, "--target=wasm32-wasi", "--sysroot=/usr", "-o", "least.wasm", "least.c")
	cmd.Dir = dir
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Skip(&workload.Unavailable{What: "guest in C", Why: strings.TrimSpace(string(printed)), Fix: "install clang, lld, wasi-libc and clang's wasm32 runtime", Err: err})
	}
}
