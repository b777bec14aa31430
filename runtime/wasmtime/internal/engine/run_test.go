//go:build cgo

package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// TestMain runs a command where a test has asked for it by re-executing this
// binary, for a command has the standard streams of its process.
func TestMain(m *testing.M) {
	module := os.Getenv("ENGINE_TEST_RUN")
	if module == "" {
		os.Exit(m.Run())
	}
	e, err := New(Options{Interruptible: os.Getenv("ENGINE_TEST_INTERRUPT") != ""})
	if err == nil {
		ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Second, errors.New("time is up"))
		if os.Getenv("ENGINE_TEST_INTERRUPT") != "" {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		src := enginehost.Source{Module: module, Artifact: os.Getenv("ENGINE_TEST_ARTIFACT")}
		err = e.Run(ctx, src, func() { os.Stderr.WriteString("loaded\n") }, func([]runtime.Region) {})
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

// A command that copies a block of its input to its output and then does body.
func command(body string) string {
	return `(module
	(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
	(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
	(import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
	(memory (export "memory") 1)
	(func (export "_start")
		(i32.store (i32.const 0) (i32.const 64))
		(i32.store (i32.const 4) (i32.const 1024))
		(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
		(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
		` + body + `))`
}

func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, Options{})
	for _, test := range []struct {
		name, wat, stderr string
		interrupt         bool
	}{
		{"returns", command(""), "loaded\n", false},
		{"exit 0", command("(call $exit (i32.const 0))"), "loaded\n", false},
		{"exit 7", command("(call $exit (i32.const 7))"), "exited with status 7", false},
		{"trap", command("(unreachable)"), "`unreachable` instruction executed", false},
		{"one argument", command("(drop (call $args (i32.const 0) (i32.const 4))) (call $exit (i32.add (i32.const 90) (i32.load (i32.const 0))))"), "status 91", false},
		{"no entry", `(module)`, "does not export _start", false},
		{"endless", command("(loop (br 0))"), "interrupted: context canceled", true},
	} {
		src := write(t, test.wat)
		artifact := filepath.Join(t.TempDir(), "guest.cwasm")
		if err := e.Compile(t.Context(), src.Module, artifact); err != nil {
			t.Fatal(err)
		}
		for _, artifact := range []string{"", artifact} {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), "ENGINE_TEST_RUN="+src.Module)
			if test.interrupt {
				cmd.Env = append(cmd.Env, "ENGINE_TEST_INTERRUPT=1")
			} else {
				cmd.Env = append(cmd.Env, "ENGINE_TEST_ARTIFACT="+artifact)
			}
			cmd.Stdin = strings.NewReader("input")
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if ok := test.stderr == "loaded\n"; (err == nil) != ok || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("%s: %v, standard error %q, want %q", test.name, err, &stderr, test.stderr)
			}
			if test.name != "no entry" && !strings.HasPrefix(stdout.String(), "input") {
				t.Errorf("%s: standard output %q", test.name, &stdout)
			}
		}
	}
}

// Run tells where a guest lies once it is there and before any of it has run.
func TestPlaced(t *testing.T) {
	for _, tt := range []struct {
		name, wat string
		memories  int
		fails     bool
	}{
		{"trapping", `(module (memory (export "memory") 1) (func (export "_start") unreachable))`, 1, true},
		{"without a memory", `(module (func (export "_start")))`, 0, false},
	} {
		var told []string
		memories, code := 0, 0
		err := open(t, Options{}).Run(t.Context(), write(t, tt.wat), func() { told = append(told, "loaded") }, func(regions []runtime.Region) {
			told = append(told, "placed")
			for _, r := range regions {
				switch {
				case r.Start == 0 || r.End <= r.Start:
				case r.Kind == runtime.LinearMemory:
					memories++
				case r.Kind == runtime.ModuleCode:
					code++
				}
			}
		})
		if (err != nil) != tt.fails || strings.Join(told, " ") != "loaded placed" || memories != tt.memories || code != 1 {
			t.Errorf("%s: told %q, of %d memories and %d times of code, error %v", tt.name, told, memories, code, err)
		}
	}
}

// Neither the pool nor a module that was forgotten tells where a closed
// instance was; one that lives knows where its code is even then.
func TestRegions(t *testing.T) {
	apis(t, func(t *testing.T, api API) {
		e := open(t, Options{API: api})
		src := write(t, reactor(echo))
		src.Artifact = filepath.Join(t.TempDir(), "guest.cwasm")
		if err := e.Compile(t.Context(), src.Module, src.Artifact); err != nil {
			t.Fatal(err)
		}
		img, err := e.Image(src)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		i, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		before, err := i.(runtime.Mapper).Regions(t.Context())
		if err != nil || len(before) != 2 {
			t.Fatalf("regions %+v, error %v", before, err)
		}
		if err := img.(runtime.Unloader).Unload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after, err := i.(runtime.Mapper).Regions(t.Context()); err != nil || !slices.Equal(before, after) {
			t.Errorf("regions %+v after the module was forgotten, before %+v, error %v", after, before, err)
		}
		i.Close()
		if regions, err := i.(runtime.Mapper).Regions(t.Context()); err != errInstanceClosed {
			t.Errorf("regions of a closed instance: %+v, error %v", regions, err)
		}
	})
}
