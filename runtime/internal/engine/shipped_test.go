package engine_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/linked"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// copied is Hello whose module is the test's own.
func copied(t *testing.T) modules {
	t.Helper()
	m := modules{reactor: filepath.Join(t.TempDir(), "reactor.wasm"), command: filepath.Join(t.TempDir(), "command.wasm")}
	for form, to := range map[workload.Form]string{workload.Reactor: m.reactor, workload.Command: m.command} {
		from, err := workload.Hello(workload.C).Artifact(t.Context(), form)
		var b []byte
		if err == nil {
			b, err = os.ReadFile(from)
		}
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// What an image tells of is all that its host reads: a module that is not among it may
// be gone, and one that is may not.
func TestShippedFiles(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := copied(t)
		servers := prepareServer(t, r, w, 1)
		files := servers.(runtime.Shipped).Files()
		var sum int64
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || !info.Mode().IsRegular() {
				t.Fatalf("%s is no file: %v", file, err)
			}
			sum += info.Size()
		}
		if sum < servers.Bytes() {
			t.Errorf("the files have %d bytes, what is loaded of them %d", sum, servers.Bytes())
		}
		reads := slices.Contains(files, w.reactor)
		if !reads && len(files) != 1 || len(files) == 0 {
			t.Errorf("the files are %q", files)
		}
		if err := os.Remove(w.reactor); err != nil {
			t.Fatal(err)
		}
		svc, err := servers.Serve(t.Context(), "", unmarked)
		if err != nil {
			if !reads {
				t.Errorf("without the module, which is none of %q: %v", files, err)
			}
			return
		}
		status, answer, err := post(client(t), svc, "World")
		if works := err == nil && status == 200 && answer == "Hello, World!"; works == reads {
			t.Errorf("without the module it answers %d, %q, error %v; the files are %q", status, answer, err, files)
		}
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An image of a command tells the same as that of a server, but for the module.
func TestShippedCommands(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, workload.Hello(workload.C))
		files := img.(runtime.Shipped).Files()
		if len(files) == 0 {
			t.Fatal("there are no files")
		}
		files[0] = "" // the caller's own
		for _, file := range img.(runtime.Shipped).Files() {
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		}
	})
}

// A host is a program and the libraries without which it does not start.
func TestShippedHosts(t *testing.T) {
	for _, tt := range []struct {
		r    runtime.Runtime
		with string // one of its libraries
	}{
		{wazero.Precompiled(), ""},
		{wasmtime.Embedded(wasmtime.EmbeddedOptions{}), "libc."},
		{wasmedge.Interpreter(), "libwasmedge."},
	} {
		t.Run(tt.r.Name(), func(t *testing.T) {
			available(t, tt.r)
			img := prepare(t, tt.r, workload.Hello(workload.C))
			files, err := img.(runtime.Shipped).HostFiles(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
					t.Errorf("%s is no file: %v", file, err)
				}
				f, err := elf.Open(file)
				if err != nil {
					t.Errorf("%s: %v", file, err)
					continue
				}
				f.Close()
			}
			found := slices.ContainsFunc(files, func(f string) bool { return strings.Contains(filepath.Base(f), tt.with) })
			if tt.with == "" && len(files) != 1 || !found {
				t.Errorf("%q, want a program with %q", files, tt.with)
			}
		})
	}
}

// What the linker does not find is named, and so is why it refuses a program.
func TestShippedHostsThatDoNotStart(t *testing.T) {
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	host := filepath.Join(t.TempDir(), "host")
	files := func(change func([]byte) []byte) error {
		if err := os.WriteFile(host, change(bytes.Clone(sh)), 0o755); err != nil {
			t.Fatal(err)
		}
		files, err := engine.HostFiles(t.Context(), host)
		if err == nil {
			t.Fatalf("there are %q", files)
		}
		return err
	}
	err = files(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("libc."), []byte("lib?.")) })
	if !errors.Is(err, linked.ErrMissing) || !strings.Contains(err.Error(), "lib?.") || !strings.Contains(err.Error(), host) {
		t.Errorf("where a library is missing: %v", err)
	}
	err = files(func(b []byte) []byte {
		b[16] = byte(elf.ET_REL) // the type, which is none of a program
		return b
	})
	if !errors.As(err, new(*exec.ExitError)) || !strings.Contains(err.Error(), "ET_EXEC") {
		t.Errorf("where the linker refuses: %v", err)
	}
}

// The module of every step is served, by engines that compile it at its start and, where
// it is there to be compiled ahead, by those.
func TestShrunkModulesAreServed(t *testing.T) {
	atStart := []runtime.Runtime{wazero.JIT(), wasmtime.JIT(), wasmedge.Interpreter()}
	for _, l := range []workload.Language{workload.C, workload.Go} {
		ahead := []runtime.Runtime{wazero.Precompiled(), wasmtime.Precompiled()}
		if l == workload.C {
			ahead = append(ahead, wasmedge.Precompiled()) // which takes minutes for Go's
		}
		for _, s := range []workload.Step{workload.StepBase, workload.StepSize, workload.StepAOT, workload.StepStrip} {
			runtimes := atStart
			if s == workload.StepAOT {
				runtimes = ahead
			}
			for _, r := range runtimes {
				if l == workload.Go && s != workload.StepAOT && r.Name() != "wasmtime-jit" {
					continue // which compiles it for seconds, as it did C's
				}
				w := workload.Shrink(l, s)
				t.Run(string(l)+"/"+string(s)+"/"+r.Name(), func(t *testing.T) {
					available(t, r)
					img, err := r.(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{})
					if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
						t.Skip(err)
					}
					if err != nil {
						t.Fatal(err)
					}
					defer img.Close()
					svc := serve(t, img, unmarked)
					status, answer, err := post(client(t), svc, string(w.Request()))
					if err != nil || status != 200 || w.Check([]byte(answer)) != nil {
						t.Errorf("it answers %d, %q, error %v", status, answer, err)
					}
				})
			}
		}
	}
}
