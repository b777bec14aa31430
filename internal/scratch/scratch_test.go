package scratch_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/scratch"
)

const childEnv = "WASMBENCH_TEST_SCRATCH"

// TestChild is the process of another run: it makes a directory with a file,
// tells where and is killed.
func TestChild(t *testing.T) {
	parent := os.Getenv(childEnv)
	if parent == "" {
		return
	}
	d, err := scratch.New(parent)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), "data"), []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("ready\n")
	io.Copy(io.Discard, os.Stdin) // until it is killed, or the test that waits for it is no more
}

func newDir(t *testing.T, parent string) *scratch.Dir {
	t.Helper()
	d, err := scratch.New(parent)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(t *testing.T, parent string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestDir(t *testing.T) {
	parent := t.TempDir()
	d := newDir(t, parent)
	if err := os.MkdirAll(filepath.Join(d.Path(), "deep", "er"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := newDir(t, parent)
	if _, err := os.Stat(filepath.Join(d.Path(), "deep")); err != nil {
		t.Errorf("another directory of this process took the first: %v", err)
	}
	for _, d := range []*scratch.Dir{d, other} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := names(t, parent); left != nil {
		t.Errorf("%v are left", left)
	}
	if _, err := scratch.New(filepath.Join(parent, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// What a killed run left goes with the next run's directory, and nothing else.
func TestKilled(t *testing.T) {
	parent := t.TempDir()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	uid := strconv.Itoa(os.Getuid())
	for _, name := range []string{"wasmbench-files-" + uid + "-file", "data"} {
		if err := os.WriteFile(filepath.Join(parent, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(parent, "wasmbench-files-"+uid+"-link")); err != nil {
		t.Fatal(err)
	}
	mine := names(t, parent)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	d := newDir(t, parent)
	if n := len(names(t, parent)); n != len(mine)+2 {
		t.Errorf("beside a run that lives there are %d entries, want %d", n, len(mine)+2)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	d = newDir(t, parent)
	if n := len(names(t, parent)); n != len(mine)+1 {
		t.Errorf("after a run that was killed there are %v", names(t, parent))
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, parent); len(left) != len(mine) {
		t.Errorf("%v are left of %v", left, mine)
	}
	if _, err := os.Stat(filepath.Join(outside, "data")); err != nil {
		t.Errorf("through a link: %v", err)
	}
}

// Processes that begin at once do not take each other's.
func TestTogether(t *testing.T) {
	parent := t.TempDir()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			d, err := scratch.New(parent)
			if err != nil {
				t.Error(err)
				return
			}
			if err := os.WriteFile(filepath.Join(d.Path(), "data"), nil, 0o600); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left := names(t, parent); left != nil {
		t.Errorf("%v are left", left)
	}
}
