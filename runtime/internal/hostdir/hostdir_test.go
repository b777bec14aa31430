package hostdir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/workload"
)

type mounted struct {
	workload.Prebuilt
	dir string
}

func (m mounted) Mount() string { return m.dir }

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		w    workload.Workload
		dir  string
		want error
	}{
		{"of a workload without files", workload.Prebuilt{}, "", nil},
		{"none", mounted{}, "", nil},
		{"a directory", mounted{dir: dir}, dir, nil},
		{"nothing there", mounted{dir: dir + "/none"}, dir + "/none", fs.ErrNotExist},
		{"a file", mounted{dir: file}, file, syscall.ENOTDIR},
		{"relative", mounted{dir: "."}, ".", fs.ErrNotExist},
	} {
		got, err := hostdir.Of(tt.w)
		if err == nil {
			if got != tt.dir {
				t.Errorf("%s: directory %q, want %q", tt.name, got, tt.dir)
			}
			err = hostdir.Check(got)
		}
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.dir) {
			t.Errorf("%s: error %v, want %v and %q in it", tt.name, err, tt.want, tt.dir)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), hostdir.Opens(dir)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{file: syscall.ENOTDIR, dir + "/none": fs.ErrNotExist} {
		if err := hostdir.Opens(path); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %v and the path in it", path, err, want)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	err := hostdir.Opens(dir)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.As(err, new(*runtime.Exhausted)) || !errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), dir) {
		t.Errorf("with no file to be had: error %v", err)
	}
}
