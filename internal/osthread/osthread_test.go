package osthread_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
)

// networks returns the network namespace of each thread of this process.
func networks(t *testing.T) map[string]string {
	t.Helper()
	links, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(links) == 0 {
		t.Fatalf("%d threads, error %v", len(links), err)
	}
	all := map[string]string{}
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil { // else it has ended
			all[l] = to
		}
	}
	return all
}

func here(t *testing.T) string {
	t.Helper()
	to, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// newNetwork returns the path of a network namespace that ends with the test.
func newNetwork(t *testing.T) (path string) {
	t.Helper()
	var ns *os.File
	err := osthread.Do(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	}, osthread.Network("/proc/self/ns/net"))
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root makes networks")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
}

// Every thread is where it was, wherever the scheduler put the calls.
func TestInNetwork(t *testing.T) {
	path := newNetwork(t)
	there, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	home := here(t)
	why := errors.New("because")
	for i := range 50 {
		want := []error{nil, why}[i%2]
		called := make(chan error, 1)
		go func() {
			called <- osthread.InNetwork(path, func() error {
				if unix.Gettid() == unix.Getpid() {
					t.Error("called on the first thread")
				}
				if now := here(t); now != there {
					t.Errorf("called in %s, want %s", now, there)
				}
				return want
			})
		}()
		if err := <-called; err != want {
			t.Errorf("error %v, want %v", err, want)
		}
		for l, now := range networks(t) {
			if now != home {
				t.Fatalf("after %d calls %s is %s, was %s", i+1, l, now, home)
			}
		}
	}
	tid := 0
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := osthread.InNetwork("", func() error { tid = unix.Gettid(); return why }); err != why || tid != unix.Gettid() {
		t.Errorf("without a network: thread %d, caller's %d, error %v", tid, unix.Gettid(), err)
	}
}

// Nobody is called where a network is none.
func TestNoNetwork(t *testing.T) {
	home := here(t)
	for path, want := range map[string]error{"/no/such/network": fs.ErrNotExist, os.DevNull: unix.EINVAL} {
		err := osthread.InNetwork(path, func() error { t.Errorf("%s: called", path); return nil })
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	for l, now := range networks(t) {
		if now != home {
			t.Errorf("%s is %s, was %s", l, now, home)
		}
	}
}

// Changes are undone from the last, those that were made, however f ended.
func TestUndo(t *testing.T) {
	why := errors.New("because")
	for name, tt := range map[string]struct {
		fails  int // of the changes
		f      func() error
		undone string
		err    bool
	}{
		"returns":    {-1, func() error { return nil }, "210", false},
		"fails":      {-1, func() error { return why }, "210", true},
		"exits":      {-1, func() error { runtime.Goexit(); return nil }, "210", true},
		"no change":  {0, func() error { t.Error("called"); return nil }, "", true},
		"one change": {1, func() error { t.Error("called"); return nil }, "0", true},
	} {
		undone := ""
		var changes []osthread.Change
		for i := range 3 {
			changes = append(changes, func() (func() error, error) {
				if i == tt.fails {
					return nil, why
				}
				return func() error { undone += fmt.Sprint(i); return nil }, nil
			})
		}
		if err := osthread.Do(tt.f, changes...); (err != nil) != tt.err || undone != tt.undone {
			t.Errorf("%s: error %v, undone %q, want %q", name, err, undone, tt.undone)
		}
	}
}

// A thread that is not as before ends.
func TestNoWayBack(t *testing.T) {
	why := errors.New("because")
	before := networks(t)
	for range 10 {
		tid := 0
		err := osthread.Do(func() error { tid = unix.Gettid(); return nil }, func() (func() error, error) {
			return func() error { return why }, nil
		})
		if !errors.Is(err, why) {
			t.Errorf("error %v", err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for gone := false; !gone; {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			gone = errors.Is(err, fs.ErrNotExist)
			if !gone && time.Now().After(deadline) {
				t.Fatalf("thread %d goes on", tid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	first := fmt.Sprintf("/proc/self/task/%d/ns/net", os.Getpid())
	if now := networks(t); now[first] != before[first] {
		t.Errorf("the first thread: %v, was %v", now, before)
	}
}
