package rundir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The state of runwasi's shim, which is outside the run's directory, goes with
// the run.
func TestStateOfTheWasmtimeShimIsCleared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may write to /run")
	}
	short(t)
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(wasmtimeState, Namespace(d.ID()))
	if err := os.MkdirAll(filepath.Join(state, "c1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(state); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", state, err)
	}
}
