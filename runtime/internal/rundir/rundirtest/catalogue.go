package rundirtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	fileSize  = 1 << 20
	fileBlock = 1 << 16
	pageSize  = 4096
)

// Catalogue checks that the guests of the catalogue that work with files and with
// threads do so in the containers of a runtime: files in a directory of the host,
// where every byte of them is read, and in the container's own file system, with
// nothing below the guest or a distribution.
func Catalogue(t *testing.T, host *Host, r runtime.Runtime, languages ...workload.Language) {
	for _, l := range languages {
		t.Run(string(l), func(t *testing.T) {
			for _, dir := range []string{t.TempDir(), ""} {
				catalogueFile(t, host, r, l, dir)
			}
			sum, err := workload.ParallelSum(l, workload.PartOptions{Elements: 100_000, Workers: 16})
			if err != nil {
				t.Fatal(err)
			}
			inst := start(t, host, catalogued(t, r, sum))
			ask(t, inst, sum)
			closeAll(t, inst)
		})
	}
}

func catalogueFile(t *testing.T, host *Host, r runtime.Runtime, l workload.Language, dir string) {
	t.Helper()
	f, err := workload.NewFile(l, "file", fileSize, fileBlock)
	if err != nil {
		t.Fatal(err)
	}
	f = f.WithMount(dir)
	var ops []*workload.FileOp
	for _, op := range []func() (*workload.FileOp, error){
		func() (*workload.FileOp, error) { return f.Write(7) },
		f.Read,
		func() (*workload.FileOp, error) { return f.RandomWrite(8, 20, pageSize) },
		func() (*workload.FileOp, error) { return f.RandomRead(9, 20, pageSize) },
		f.Read,
	} {
		o, err := op()
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, o)
	}
	inst := start(t, host, catalogued(t, r, ops[0]))
	for _, o := range ops {
		ask(t, inst, o)
	}
	if dir != "" {
		file, err := os.Open(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := f.Verify(file); err != nil {
			t.Error(err)
		}
	}
	closeAll(t, inst)
}

// catalogued makes an image of what may not be had here.
func catalogued(t *testing.T, r runtime.Runtime, w workload.Workload) runtime.Image {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	if errors.As(err, new(*workload.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

func ask(t *testing.T, inst runtime.Instance, w workload.Workload) {
	t.Helper()
	answer, err := inst.Call(t.Context(), w.Request())
	if err == nil {
		err = w.Check(answer)
	}
	if err != nil {
		t.Errorf("%s: %v", w.Request(), err)
	}
}
