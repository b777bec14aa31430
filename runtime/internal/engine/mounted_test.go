package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// mounted is a workload whose guest has a directory.
type mounted struct {
	modules
	dir string
}

func (m mounted) Mount() string { return m.dir }

// written returns a file of 1 MiB in dir and the operation that writes it.
func written(t *testing.T, dir string) (*workload.File, *workload.FileOp) {
	t.Helper()
	f, err := workload.NewFile(workload.C, "left.dat", 1<<20, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	f = f.WithMount(dir)
	op, err := f.Write(7)
	if err != nil {
		t.Fatal(err)
	}
	return f, op
}

func verify(t *testing.T, f *workload.File) {
	t.Helper()
	r, err := os.Open(filepath.Join(f.Mount(), f.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := f.Verify(r); err != nil {
		t.Error(err)
	}
}

// A guest leaves files in the directory that it is given, which may be made after
// it has been prepared. Its module was compiled for another directory.
func TestMounted(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		for range 2 {
			f, op := written(t, filepath.Join(t.TempDir(), "of the guest"))
			img := prepare(t, r, op)
			if err := os.Mkdir(f.Mount(), 0o700); err != nil {
				t.Fatal(err)
			}
			inst, _, err := runtime.FirstAnswer(t.Context(), img, op.Request(), op.Check)
			if err != nil {
				t.Fatal(err)
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
			verify(t, f)
		}
	})
}

func TestMountedServer(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		f, op := written(t, t.TempDir())
		svc := serve(t, prepareServer(t, r, op, 0), unmarked)
		if _, answer, err := post(client(t), svc, string(op.Request())); err != nil || op.Check([]byte(answer)) != nil {
			t.Fatalf("answer %q, error %v", answer, err)
		}
		verify(t, f)
	})
}

func TestNoDirectory(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		none := filepath.Join(t.TempDir(), "none")
		named := func(what string, err error) {
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), none) {
				t.Errorf("%s: error %v does not say that there is no %s", what, err, none)
			}
		}
		_, op := written(t, none)
		_, err := prepare(t, r, op).Start(t.Context(), unmarked)
		named("starting", err)
		_, err = prepareServer(t, r, op, 0).Serve(t.Context(), "", unmarked)
		named("serving", err)
		none = "relative"
		_, op = written(t, none)
		_, err = r.Prepare(t.Context(), op)
		named("preparing", err)
		_, err = r.(runtime.Server).PrepareServer(t.Context(), op, runtime.ServeOptions{})
		named("preparing to serve", err)
	})
}
