//go:build cgo && wasmedge

package engine_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
)

const hiddenEnv = "WASMBENCH_TEST_HIDDEN"

// What a guest has as its standard files stays what it was, however often
// memory is collected.
func TestHiddenStandardFiles(t *testing.T) {
	if os.Getenv(hiddenEnv) != "" {
		if err := engine.HideStandardFiles(); err != nil {
			t.Fatal(err)
		}
		collect()
		standIns(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHiddenStandardFiles$")
	cmd.Env = append(os.Environ(), hiddenEnv+"=1")
	in, err := cmd.StdinPipe() // which is not what stands in for it
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "PASS") || strings.Contains(said.String(), "PASS") {
		t.Errorf("%v: %s%s", err, out, said.String())
	}
}

// collect collects memory and waits until what nothing refers to is closed: a
// later collection's finalizers run after an earlier one's.
func collect() {
	for range 2 {
		done := make(chan struct{})
		runtime.SetFinalizer(new(*int), func(**int) { close(done) })
		runtime.GC()
		<-done
	}
}

// standIns checks what the descriptors 0 and 1 are. It opens nothing, which would
// take the number of one that is closed. That of the standard output is held by
// package testing, so only that of the input shows what becomes of them.
func standIns(t *testing.T) {
	t.Helper()
	var null, stderr unix.Stat_t
	if err := errors.Join(unix.Stat(os.DevNull, &null), unix.Fstat(2, &stderr)); err != nil {
		t.Fatal(err)
	}
	for fd, want := range []unix.Stat_t{null, stderr} {
		var got unix.Stat_t
		if err := unix.Fstat(fd, &got); err != nil || got.Dev != want.Dev || got.Ino != want.Ino {
			t.Errorf("descriptor %d is another file than before, or closed: error %v", fd, err)
		}
	}
}
