package containerd

import (
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestDirectories(t *testing.T) {
	r, _, host := connected(t)
	info, err := r.Probe(t.Context())
	if err != nil || !strings.Contains(info.Settings, "overlayfs on ") {
		t.Errorf("Probe = %+v, %v, want the file system of the snapshots", info, err)
	}
	rundirtest.Directories(t, host, r)
}

func TestCatalogueWithFilesAndThreads(t *testing.T) {
	r, _, host := connected(t)
	rundirtest.Catalogue(t, host, r, workload.C)
}

func TestThreadsAndClocks(t *testing.T) {
	r, _, host := connected(t)
	for _, r := range []*Runtime{r, r.SharedShim()} {
		img, err := r.Prepare(t.Context(), rundirtest.Files{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		rundirtest.Threads(t, host, img)
		rundirtest.Consists(t, host, img, true)
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}
