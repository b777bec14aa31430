package pidfd

import (
	"errors"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// sleeping starts a child that the test reaps.
func sleeping(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// The end of a child is learned of whether or not handles are to be had, also
// where they cease to be. Nobody reaps it meanwhile.
func TestEveryWayToLearnOfAnEnd(t *testing.T) {
	closed := func() (*watcher, error) {
		w, err := newWatcher()
		if err == nil {
			err = w.file.Close()
		}
		return w, err
	}
	for name, watch := range map[string]func() (*watcher, error){
		"watched":    newWatcher,
		"no watcher": func() (*watcher, error) { return nil, unix.EMFILE },
		"closed":     closed,
	} {
		t.Run(name, func(t *testing.T) {
			child := sleeping(t)
			ended := make(chan struct{})
			onEnd(watch, child.Process, func() { close(ended) })
			select {
			case <-ended:
				t.Fatal("a child that lives has ended")
			default:
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			if err := unix.Waitid(unix.P_PID, child.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != nil {
				t.Errorf("the child has been reaped: %v", err)
			}
		})
	}
}

// A watcher that cannot wait any more hands its children over and takes no
// others.
func TestWatcherThatFails(t *testing.T) {
	w, err := newWatcher()
	if err != nil {
		t.Fatal(err)
	}
	first, second := sleeping(t), sleeping(t)
	ended := make(chan *exec.Cmd)
	if err := w.add(first.Process, func() { ended <- first }); err != nil {
		t.Fatal(err)
	}
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
	onEnd(func() (*watcher, error) { return w, nil }, second.Process, func() { ended <- second })
	for _, child := range []*exec.Cmd{first, second} {
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if <-ended != child {
			t.Error("it is another that has ended")
		}
	}
	if err := w.add(second.Process, func() {}); err == nil || errors.Is(err, unix.EBADF) {
		t.Errorf("error %v of a watcher that has failed, want one of its file", err)
	}
}
