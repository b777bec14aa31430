package rundirtest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

//go:embed testdata/files.go.txt
var filesSource []byte

// Files is a workload whose guest says "where" it works, can "write NAME TEXT"
// and "read NAME", has N "threads N" or has them "burn N" the processor, and
// tells how many "files" it may open. There is nothing else in its image.
type Files struct {
	Dir string // for the root file system
}

// Name returns "files".
func (Files) Name() string { return "files" }

// Request asks where it works.
func (Files) Request() []byte { return []byte("where") }

// Check takes every answer.
func (Files) Check([]byte) error { return nil }

// Artifact compiles the guest.
func (f Files) Artifact(ctx context.Context, form workload.Form) (string, error) {
	if form != workload.RootFS {
		return "", fmt.Errorf("no form %s", form)
	}
	root := filepath.Join(f.Dir, "files")
	guest := filepath.Join(root, "guest")
	if _, err := os.Stat(guest); err == nil {
		return root, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	return root, compile(ctx, f.Dir, filesSource, "", guest)
}

// Mounted is a workload whose guest works in a directory of the host.
type Mounted struct {
	workload.Workload
	In string
}

// Mount returns In.
func (m Mounted) Mount() string { return m.In }

// Directories checks that the containers of a runtime work in the directory of
// the host that their workload names, or in a file system of their own, and that
// a directory that is none is an error which leaves nothing.
func Directories(t *testing.T, host *Host, r runtime.Runtime) {
	dir := t.TempDir()
	files := Files{Dir: dir}
	in := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Options of mounts cannot have such signs.
	one, other := in("one"), in("another: one,with signs")
	images := map[string]runtime.Image{}
	for _, d := range []string{one, other, ""} {
		images[d] = prepare(t, r, Mounted{files, d})
	}
	if a, b := images[one].Bytes(), images[other].Bytes(); a != b || a == 0 {
		t.Errorf("images of one guest have %d and %d bytes", a, b)
	}

	write(t, filepath.Join(one, "ours"), "of-one")
	write(t, filepath.Join(other, "ours"), "of-another")
	for d, want := range map[string]string{one: "of-one", other: "of-another"} {
		inst := start(t, host, images[d])
		call(t, inst, "where", workload.MountPoint)
		call(t, inst, "read ours", want)
		call(t, inst, "write theirs guest-"+want, "theirs")
		read(t, filepath.Join(d, "theirs"), "guest-"+want)
		write(t, filepath.Join(d, "later"), "later-"+want)
		call(t, inst, "read later", "later-"+want)
		rs := inst.(runtime.Restarter)
		if err := errors.Join(rs.Stop(t.Context()), rs.Restart(t.Context(), ignore)); err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		call(t, inst, "read "+workload.MountPoint+"/theirs", "guest-"+want)
		closeAll(t, inst)
		read(t, filepath.Join(d, "theirs"), "guest-"+want)
	}

	// Without a directory each has its own file system.
	a, b := start(t, host, images[""]), start(t, host, images[""])
	call(t, a, "where", "/")
	call(t, a, "write mine a", "mine")
	call(t, b, "write mine b", "mine")
	call(t, a, "read /mine", "a")
	closeAll(t, a, b)
	if _, err := os.Stat(filepath.Join(dir, "files", "mine")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that a guest wrote is in the tree of its image: %v", err)
	}

	before := mountsBelow(t, host.Tmp)
	file := filepath.Join(dir, "file")
	write(t, file, "no directory")
	gone := in("gone")
	stopped := start(t, host, prepare(t, r, Mounted{files, gone}))
	if err := errors.Join(stopped.(runtime.Restarter).Stop(t.Context()), os.Remove(gone)); err != nil {
		t.Fatal(err)
	}
	if err := stopped.(runtime.Restarter).Restart(t.Context(), ignore); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Errorf("restart without its directory: error %v, want one that names %s and wraps fs.ErrNotExist", err, gone)
	}
	closeAll(t, stopped)
	for _, wrong := range []string{gone, file} {
		img := prepare(t, r, Mounted{files, wrong})
		_, err := img.Start(t.Context(), ignore)
		if err == nil || !strings.Contains(err.Error(), wrong) || errors.Is(err, fs.ErrNotExist) != (wrong == gone) {
			t.Errorf("directory %s: error %v, want one that names it and wraps fs.ErrNotExist if there is none", wrong, err)
		}
	}
	var relative workload.Workload = Mounted{files, "relative"}
	if _, err := r.Prepare(t.Context(), relative); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), r.Name()+": workload "+relative.Name()) {
		t.Errorf("a relative directory: error %v, want one that names the runtime and the workload and wraps fs.ErrNotExist", err)
	}
	if after := mountsBelow(t, host.Tmp); after != before {
		t.Errorf("there were %d mounts before and are %d after", before, after)
	}
	if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody has made %s: %v", gone, err)
	}
}

// Threads checks that threads are nowhere in short supply in a container and
// that every runtime sets the same limit to files.
func Threads(t *testing.T, host *Host, img runtime.Image) {
	inst := start(t, host, img)
	for _, n := range []string{"2", "16", "256"} {
		call(t, inst, "threads "+n, n)
	}
	call(t, inst, "files", fmt.Sprint(oci.OpenFiles))
	closeAll(t, inst)
}

// prepare makes an image that the test closes.
func prepare(t *testing.T, r runtime.Runtime, w workload.Workload) runtime.Image {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
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

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s has %q, %v, want %q", path, b, err, want)
	}
}

// A Keepsake is a directory of the host with files that nobody may touch.
type Keepsake string

// keepsakeVar hands a Keepsake to a process that a test starts.
const keepsakeVar = "WASMBENCH_TEST_KEEPSAKE"

// InKeepsake returns w with the Keepsake that this process has been handed, if it
// has, as its directory.
func InKeepsake(w workload.Workload) workload.Workload {
	return Mounted{w, os.Getenv(keepsakeVar)}
}

// keepsakes are the files of a Keepsake.
var keepsakes = []string{"kept", "deep/er/kept"}

// NewKeepsake makes one and hands it to the processes that the test starts.
func NewKeepsake(t *testing.T) Keepsake {
	t.Helper()
	k := Keepsake(t.TempDir())
	for _, name := range keepsakes {
		path := filepath.Join(string(k), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, name)
	}
	t.Setenv(keepsakeVar, string(k))
	return k
}

// Seen checks that a process sees the files at MountPoint.
func (k Keepsake) Seen(t *testing.T, pid int) {
	t.Helper()
	for _, name := range keepsakes {
		read(t, filepath.Join("/proc", fmt.Sprint(pid), "root", workload.MountPoint, name), name)
	}
}

// Kept checks that the files are what they were, and that there are no others.
func (k Keepsake) Kept(t *testing.T) {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(string(k)), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) != len(keepsakes) {
		t.Errorf("the directory of the host has %q, %v, want %q", found, err, keepsakes)
	}
	for _, name := range keepsakes {
		read(t, filepath.Join(string(k), name), name)
	}
}
