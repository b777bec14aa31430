package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// prepared returns an image of w that the test closes.
func prepared(t *testing.T, w workload.Workload) (runtime.Image, *rundirtest.Host) {
	t.Helper()
	r, _, host := connected(t)
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img, host
}

func TestRestartOnABase(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "kept"), []byte("the base, "), 0o644); err != nil {
		t.Fatal(err)
	}
	img, host := prepared(t, rundirtest.Layered{Workload: rundirtest.Echo{Mode: "keeps", Dir: dir}, Dir: base})
	rundirtest.Restart(t, host, img, "the base, ")
}

func TestPause(t *testing.T) {
	img, host := prepared(t, rundirtest.Echo{Dir: t.TempDir()})
	rundirtest.Pause(t, host, img)
}

func TestServe(t *testing.T) {
	r, _, host := connected(t)
	rundirtest.Serve(t, host, r, true)
}
