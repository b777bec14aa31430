package runc_test

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func TestDirectories(t *testing.T) {
	_, host := prepare(t, "missing") // skips, and looks for what is left
	rundirtest.Directories(t, host, runc.New(runc.Options{}))
}

func TestCatalogueWithFilesAndThreads(t *testing.T) {
	_, host := prepare(t, "missing")
	rundirtest.Catalogue(t, host, runc.New(runc.Options{}), workload.C)
}

func TestThreadsAndClocks(t *testing.T) {
	img, host := prepareWorkload(t, rundirtest.Files{Dir: t.TempDir()})
	rundirtest.Threads(t, host, img)
	rundirtest.Consists(t, host, img, false)
}
