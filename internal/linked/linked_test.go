package linked_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/linked"
)

func TestLibraries(t *testing.T) {
	for _, tt := range []struct {
		name, listed string
		want         []string
		err          error
	}{
		{"nothing", "", nil, nil},
		{"all kinds", "\tlinux-vdso.so.1 (0x00007ffd5b5f2000)\n" +
			"\tlibnode.so.108 => /lib/x86_64-linux-gnu/libnode.so.108 (0x00007f0)\n" +
			"\t/lib64/ld-linux-x86-64.so.2 (0x00007f1)\n",
			[]string{"/lib/x86_64-linux-gnu/libnode.so.108", "/lib64/ld-linux-x86-64.so.2"}, nil},
		{"a linker that was renamed", "\t/lib64/ld-linux-x86-64.so.2 => /opt/lib/ld-2.36.so (0x00007f1)\n", []string{"/opt/lib/ld-2.36.so"}, nil},
		{"a path with a space", "\tlibx.so => /opt/a b/libx.so (0x1)\n", []string{"/opt/a b/libx.so"}, nil},
		{"missing", "\tlibz.so.1 => /lib/libz.so.1 (0x1)\n\tlibx.so => not found\n", nil, linked.ErrMissing},
	} {
		got, err := linked.Libraries(tt.listed)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// The linker of a real program lists files that are there, itself among them.
func TestOfAProgram(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	f, err := os.Open(sh)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	linker, err := linked.Linker(f)
	if err != nil || !filepath.IsAbs(linker) {
		t.Skipf("sh has the linker %q, %v", linker, err)
	}
	files, err := linked.Libraries(traced(t, linker, sh))
	if err != nil || !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "libc.") }) {
		t.Fatalf("%q, %v: there is no C library", files, err)
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	// A program is another's copy but for the name of a library, which is nowhere.
	b, err := os.ReadFile(sh)
	if err != nil {
		t.Fatal(err)
	}
	lacking := filepath.Join(t.TempDir(), "lacking")
	if err := os.WriteFile(lacking, bytes.ReplaceAll(b, []byte("libc."), []byte("lib?.")), 0o755); err != nil {
		t.Fatal(err)
	}
	if files, err := linked.Libraries(traced(t, linker, lacking)); !errors.Is(err, linked.ErrMissing) || !strings.Contains(err.Error(), "lib?.") {
		t.Errorf("where a library is missing: %q, %v", files, err)
	}
}

// traced returns what the linker writes of a program.
func traced(t *testing.T, linker, program string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), linker, program)
	cmd.Env = append(os.Environ(), linked.Trace)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestOfNoProgram(t *testing.T) {
	for _, content := range []string{"", "#!/bin/sh\n", "\x7fELF", "\x00asm\x01\x00\x00\x00"} {
		if linker, err := linked.Linker(bytes.NewReader([]byte(content))); err == nil {
			t.Errorf("%q has the linker %q", content, linker)
		}
	}
}

// A program that is static has none. Go makes such where cgo is off.
func TestOfAStaticProgram(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "p.go"), filepath.Join(dir, "p")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if linker, err := linked.Linker(f); linker != "" || err != nil {
		t.Errorf("%q, %v", linker, err)
	}
}
