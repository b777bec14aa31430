package rundir

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// short sets TMPDIR to a directory of the test's own with a short path.
func short(t *testing.T) string {
	t.Helper()
	tmp, err := os.MkdirTemp("", "wbt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", tmp)
	t.Cleanup(func() {
		err := Sweep(context.Background(), func(context.Context, string, string) error { return nil })
		if left, _ := filepath.Glob(filepath.Join(tmp, "wasmbench-*")); err != nil || len(left) > 0 {
			t.Errorf("%s is kept for what runs have left: %v", tmp, err)
		} else if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	return tmp
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounts and cgroups are made by root only: run as root")
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s is not empty: %v, %v", dir, entries, err)
	}
}

// sleeper starts a process that waits to be killed.
func sleeper(t *testing.T, env ...string) (*exec.Cmd, <-chan error) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, ended
}

func TestMakeAndClose(t *testing.T) {
	tmp := short(t)
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.Path()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("Stat = %v, %v", info, err)
	}
	if err := Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path()); err != nil {
		t.Errorf("the directory of a live run was swept: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	empty(t, tmp)
}

func TestManyRunsAtOnce(t *testing.T) {
	tmp := short(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				d, err := Make()
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(Sweep(t.Context(), nil), d.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	empty(t, tmp)
}

func TestSweepClearsWhatADeadRunMade(t *testing.T) {
	needRoot(t)
	tmp := short(t)
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	_, markedEnd := sleeper(t, d.Env())
	grouped, groupedEnd := sleeper(t)
	bystander, bystanderEnd := sleeper(t, "ABOUT="+d.Env())
	roots, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		cgroup := filepath.Join(root, d.Cgroup("c1"), "deeper")
		if err := os.MkdirAll(cgroup, 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(root) == "freezer" {
			for file, value := range map[string]string{"cgroup.procs": strconv.Itoa(grouped.Process.Pid), "freezer.state": "FROZEN"} {
				if err := os.WriteFile(filepath.Join(cgroup, file), []byte(value), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	mountpoint := d.Path("m")
	if err := errors.Join(os.Mkdir(mountpoint, 0o700), unix.Mount("tmpfs", mountpoint, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(mountpoint+"/m", 0o700), unix.Mount("tmpfs", mountpoint+"/m", "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
	d.lock.Close()
	if err := Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	<-markedEnd
	if !strings.Contains(strings.Join(roots, " "), "freezer") {
		grouped.Process.Kill()
	}
	<-groupedEnd
	select {
	case err := <-bystanderEnd:
		t.Errorf("process %d, which only mentions the run, has ended: %v", bystander.Process.Pid, err)
	default:
	}
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, cgroupOf(d.id))); err == nil {
			t.Errorf("cgroup %s is left in %s", cgroupOf(d.id), root)
		}
	}
	empty(t, tmp)
}

// What is mounted below a run is not the run's: directories of the host stay as
// they are, even if somebody works in them.
func TestSweepKeepsWhatIsMounted(t *testing.T) {
	needRoot(t)
	theirs := t.TempDir()
	tmp := short(t)
	if err := errors.Join(os.Mkdir(theirs+"/deep", 0o755), os.WriteFile(theirs+"/deep/file", []byte("kept"), 0o644)); err != nil {
		t.Fatal(err)
	}
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain", "with signs, 1:2\\n", "plain/deep"} {
		mountpoint := d.Path(name)
		if err := errors.Join(os.MkdirAll(mountpoint, 0o755), unix.Mount(theirs, mountpoint, "", unix.MS_BIND|unix.MS_REC, "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(theirs, d.Path("plain"), "", unix.MS_BIND, ""); err != nil { // on top of the first
		t.Fatal(err)
	}
	busy := exec.Command("sleep", "3600")
	busy.Dir = d.Path("plain")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Process.Kill(); busy.Wait() })
	d.lock.Close()
	if err := Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(theirs + "/deep/file"); err != nil || string(b) != "kept" {
		t.Errorf("the directory that was mounted has %q, %v", b, err)
	}
	empty(t, tmp)
}

// Runs whose locks cannot be had do not keep the others from being swept,
// whichever come first.
func TestSweepDespiteALockThatFails(t *testing.T) {
	tmp := short(t)
	d, err := makeNamed("m")
	if err != nil {
		t.Fatal(err)
	}
	d.lock.Close()
	var broken []string
	for _, id := range []string{"a", "z"} {
		path := filepath.Join(d.parent, id+lockSuffix)
		if err := os.Symlink("nowhere", path); err != nil {
			t.Fatal(err)
		}
		broken = append(broken, path)
	}
	err = Sweep(t.Context(), nil)
	for _, path := range broken {
		if !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one about %s", err, path)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(d.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead run was not swept: %v", err)
	}
	if err := Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	empty(t, tmp)
}

func TestSweepLeavesForeignObjectsToWhoKnowsTheDaemon(t *testing.T) {
	tmp := short(t)
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.UseDaemon("/the/socket"); err != nil {
		t.Fatal(err)
	}
	if err := d.Leave(); err != nil {
		t.Fatal(err)
	}
	later := func(context.Context, string, string) error { return ErrLater }
	for _, foreign := range []func(context.Context, string, string) error{nil, later} {
		if err := Sweep(t.Context(), foreign); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(d.Path()); err != nil {
			t.Fatalf("the run is gone: %v", err)
		}
	}
	failed := errors.New("failed")
	if err := Sweep(t.Context(), func(context.Context, string, string) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
	var got []string
	err = Sweep(t.Context(), func(_ context.Context, address, id string) error {
		got = append(got, address, id)
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != "/the/socket" || got[1] != d.ID() {
		t.Errorf("Sweep = %v, having been told of %v", err, got)
	}
	empty(t, tmp)
}

func TestRemoveAll(t *testing.T) {
	var mu sync.Mutex
	removed := map[int]bool{}
	even := errors.New("even")
	err := RemoveAll([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, func(n int) error {
		mu.Lock()
		defer mu.Unlock()
		removed[n] = true
		if n%2 == 0 {
			return even
		}
		return nil
	})
	if len(removed) != 10 || strings.Count(err.Error(), "even") != 5 || !errors.Is(err, even) {
		t.Errorf("RemoveAll = %v, having removed %v", err, removed)
	}
}

func TestParentThatIsNotPrivate(t *testing.T) {
	tmp := short(t)
	parent := filepath.Join(tmp, "wasmbench-"+strconv.Itoa(os.Geteuid()))
	if err := errors.Join(os.Mkdir(parent, 0o700), os.Chmod(parent, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(); err == nil {
		t.Error("a directory that others can write was taken")
	}
	if err := errors.Join(os.Remove(parent), os.Symlink(t.TempDir(), parent)); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(); err == nil {
		t.Error("a symbolic link was taken")
	}
	if err := os.Remove(parent); err != nil {
		t.Error(err)
	}
}

func TestPathThatMountOptionsCannotHave(t *testing.T) {
	for _, name := range []string{"a,b", "a:b", strings.Repeat("long", 20)} {
		tmp := filepath.Join(short(t), name)
		if err := os.Mkdir(tmp, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("TMPDIR", tmp)
		if _, err := Make(); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
			t.Errorf("TMPDIR=%s: error %v, want one that names TMPDIR", tmp, err)
		}
	}
}

func TestRemoveCgroupKeepsToItsOwn(t *testing.T) {
	for _, path := range []string{"/", "", "/user.slice", "/wasmbench/../user.slice", "/wasmbench/"} {
		if err := RemoveCgroup(t.Context(), path); err == nil {
			t.Errorf("RemoveCgroup(%q) was done", path)
		}
	}
}
