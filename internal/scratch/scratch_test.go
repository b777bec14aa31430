package scratch_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/scratch"
	"github.com/seed-0132abb7/wasmbench/workload"
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
	none := filepath.Join(parent, "none")
	if _, err := scratch.New(none); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "making a directory for files: ") || !strings.Contains(err.Error(), none) {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

// stale makes a directory as a killed run leaves it.
func stale(t *testing.T, parent, name string) string {
	t.Helper()
	dir := filepath.Join(parent, "wasmbench-files-"+strconv.Itoa(os.Geteuid())+"-"+name)
	if err := os.MkdirAll(filepath.Join(dir, "busy"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "busy", "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip(&workload.Unavailable{What: "a directory of another", Why: "this user makes only its own", Fix: "run the test as root"})
	}
}

// What another user has made under such a name is that user's.
func TestOfAnother(t *testing.T) {
	asRoot(t)
	parent := t.TempDir()
	theirs, mine := stale(t, parent, "theirs"), stale(t, parent, "mine")
	if err := os.Chown(theirs, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := newDir(t, parent).Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(theirs, "busy", "data")); err != nil {
		t.Errorf("the file of another: %v", err)
	}
	if _, err := os.Stat(mine); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is this user's own: %v", err)
	}
}

// What cannot be removed, here for a file system mounted in it, hinders nobody.
func TestThatStays(t *testing.T) {
	asRoot(t)
	parent := t.TempDir()
	stuck, other := stale(t, parent, "a"), stale(t, parent, "b")
	runtime.LockOSThread() // for good: the thread, which is in another namespace, ends with the test
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("tmpfs", filepath.Join(stuck, "busy"), "tmpfs", 0, "size=64k")
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip(&workload.Unavailable{What: "a mounted file system", Why: "it cannot be mounted", Fix: "run the test with CAP_SYS_ADMIN", Err: err})
	}
	if err != nil {
		t.Fatal(err)
	}
	d := newDir(t, parent)
	if _, err := os.Stat(stuck); err != nil {
		t.Errorf("the directory that cannot be removed: %v", err)
	}
	if _, err := os.Stat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the one after it: %v", err)
	}
	if err := unix.Unmount(filepath.Join(stuck, "busy"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(newDir(t, parent).Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if left := names(t, parent); left != nil {
		t.Errorf("%v are left once it can be removed", left)
	}
}

// What a killed run left goes with the next run's directory, and nothing else.
func TestKilled(t *testing.T) {
	parent := t.TempDir()
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	uid := strconv.Itoa(os.Geteuid())
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
