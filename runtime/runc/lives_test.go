package runc_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
)

func TestRestartOnABase(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base:with,signs")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "kept"), []byte("the base, "), 0o644); err != nil {
		t.Fatal(err)
	}
	echo := rundirtest.Echo{Mode: "keeps", Dir: dir}
	img, host := prepareWorkload(t, rundirtest.Layered{Workload: echo, Dir: base})
	bare, err := runc.New(runc.Options{}).Prepare(t.Context(), echo)
	if err != nil {
		t.Fatal(err)
	}
	if more := img.Bytes() - bare.Bytes(); more != int64(len("the base, ")) {
		t.Errorf("a base of %d bytes makes an image larger by %d", len("the base, "), more)
	}
	if err := bare.Close(); err != nil {
		t.Error(err)
	}
	rundirtest.Restart(t, host, img, "the base, ")
	if b, err := os.ReadFile(filepath.Join(base, "kept")); err != nil || string(b) != "the base, " {
		t.Errorf("the base has changed: %q, %v", b, err)
	}
}

func TestPause(t *testing.T) {
	img, host := prepare(t, "")
	rundirtest.Pause(t, host, img)
}

func TestServe(t *testing.T) {
	_, host := prepare(t, "missing")
	rundirtest.Serve(t, host, runc.New(runc.Options{}).(runtime.Server), false)
}
