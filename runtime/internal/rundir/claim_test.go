package rundir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// holdVar makes the test binary make a run below the cgroup that is its value and
// hold it until it is killed.
const holdVar = "WASMBENCH_TEST_HOLD_RUN"

func TestMain(m *testing.M) {
	parent := os.Getenv(holdVar)
	if parent == "" {
		os.Exit(m.Run())
	}
	cgroupParent = parent
	d, err := Make()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(d.ID())
	select {}
}

// apart has the test's runs where no other process sweeps, and returns the
// hierarchies.
func apart(t *testing.T) []string {
	t.Helper()
	needRoot(t)
	roots, err := hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	usual := cgroupParent
	cgroupParent = fmt.Sprintf("/wasmbench-test-%d", os.Getpid())
	t.Cleanup(func() {
		for _, root := range roots {
			if err := os.Remove(filepath.Join(root, cgroupParent)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		cgroupParent = usual
	})
	return roots
}

// held starts a process that holds a run and returns the run's ID.
func held(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+cgroupParent)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	id := make([]byte, 10)
	if _, err := io.ReadFull(out, id); err != nil {
		t.Fatal(err)
	}
	return cmd, string(id)
}

// A killed run whose directory was removed has left cgroups that nothing but
// their name tells of. Those of live runs and what others have beside them stay.
func TestSweepClearsTheCgroupsOfARunWithoutADirectory(t *testing.T) {
	roots := apart(t)
	lost := short(t)
	victim, dead := held(t)
	if err := errors.Join(victim.Process.Kill(), os.RemoveAll(lost), os.Mkdir(lost, 0o700)); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	_, live := held(t)
	short(t) // from here on

	guest, guestEnd := sleeper(t)
	neighbour, neighbourEnd := sleeper(t)
	others := []string{"measure-test-1", "0123456789abcdef", "ABCDEF0123"}
	for _, root := range roots {
		below := filepath.Join(root, cgroupOf(dead), "c1")
		dirs := []string{below}
		for _, name := range others {
			dirs = append(dirs, filepath.Join(root, cgroupParent, name))
		}
		for _, dir := range dirs {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			for _, dir := range dirs[1:] {
				if err := os.Remove(dir); err != nil {
					t.Errorf("a cgroup that is no run's: %v", err)
				}
			}
		})
		if filepath.Base(root) == "cpuset" {
			continue // takes nothing before it is told of processors
		}
		for dir, process := range map[string]*exec.Cmd{below: guest, filepath.Join(root, cgroupOf(live)): neighbour} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(process.Process.Pid)), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := Sweep(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	<-guestEnd
	select {
	case err := <-neighbourEnd:
		t.Errorf("a process of a live run has ended: %v", err)
	default:
	}
	for _, root := range roots {
		if _, err := os.Stat(filepath.Join(root, cgroupOf(dead))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the dead run's cgroup is left in %s: %v", root, err)
		}
		if _, err := os.Stat(filepath.Join(root, cgroupOf(live))); err != nil {
			t.Errorf("the live run's cgroup is gone: %v", err)
		}
	}
}

// A run that somebody else takes for an orphan before it has its lock makes its
// cgroup again, and is safe once it is made.
func TestMakingWhileOthersSweep(t *testing.T) {
	roots := apart(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	path := cgroupOf("00000000ff")
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := sweepOrphan(t.Context(), roots, path); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 300 {
		made, err := makeCgroups(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range made {
			if !current(f, f.Name()) {
				t.Errorf("%s was removed under its owner", f.Name())
			}
		}
		if len(made) != len(roots) {
			t.Errorf("%d cgroups were made in %d hierarchies", len(made), len(roots))
		}
		made.close()
	}
	close(stop)
	<-stopped
	if err := sweepOrphan(t.Context(), roots, path); err != nil {
		t.Error(err)
	}
}
