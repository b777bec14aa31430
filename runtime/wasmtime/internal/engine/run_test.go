//go:build cgo

package engine

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
		err = e.Run(ctx, src, func() { os.Stderr.WriteString("loaded\n") })
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
