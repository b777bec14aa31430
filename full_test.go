package wasmbench

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const fullEnv = "WASMBENCH_TEST_FULL_DISK"

// A disk that is full is an error that says so, on every runtime, and what was
// measured until then is not reported. The disk is in a mount namespace that ends
// with the process that this test runs again.
func TestFullDisk(t *testing.T) {
	if os.Getenv(fullEnv) != "" {
		testFullDisk(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip(&runtime.Unavailable{What: "a small file system", Why: "only root can mount one", Fix: "run as root"})
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), fullEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func testFullDisk(t *testing.T) {
	const size = 1 << 20
	dir := t.TempDir()
	if err := unix.Mount("wasmbench", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	for _, r := range all() {
		t.Run(r.Name(), func(t *testing.T) {
			if c, ok := r.(io.Closer); ok {
				t.Cleanup(func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			f, err := workload.NewFile(workload.C, "data", 2*size, size/4)
			if err != nil {
				t.Fatal(err)
			}
			f = f.WithMount(dir)
			clock, err := f.Clock(1)
			if err != nil {
				t.Fatal(err)
			}
			withInstance(t, r, clock, func(inst runtime.Instance) {
				j := &fileJob{instance: inst, file: f}
				s, err := j.pass(t.Context(), 1, fileOps[0], nil)
				says := "no space left on device after 1048576 bytes"
				if strings.HasPrefix(r.Name(), "wazero") {
					says = "i/o error after 1048576 bytes" // it has no other number for it
				}
				if guest := (*workload.GuestError)(nil); !errors.As(err, &guest) || !strings.Contains(strings.ToLower(guest.Text), says) || len(s.Times) != 0 {
					t.Errorf("error %v, %d times", err, len(s.Times))
				}
				// The guest lives on, and a file that was cut short is found too.
				if err := j.remove(t.Context()); err != nil {
					t.Error(err)
				}
				small, err := workload.NewFile(workload.C, "data", size/2, size/4)
				if err != nil {
					t.Fatal(err)
				}
				j.file = small.WithMount(dir)
				if _, err := j.pass(t.Context(), 1, fileOps[0], nil); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(filepath.Join(dir, "data"), size/2-1); err != nil {
					t.Fatal(err)
				}
				read, err := j.file.Read()
				if err != nil {
					t.Fatal(err)
				}
				_, err = measure.Calls(t.Context(), inst, read, 1, measure.CallOptions{})
				if guest := (*workload.GuestError)(nil); !errors.As(err, &guest) || !strings.Contains(guest.Text, "short") {
					t.Errorf("of a file that is cut short: %v", err)
				}
				if err := j.remove(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
