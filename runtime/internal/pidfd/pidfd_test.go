package pidfd_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
)

// sleeper starts a process that the test ends. reap waits for it as its parent.
func sleeper(t *testing.T) (p *pidfd.Process, reap func()) {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	reap = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Cleanup(reap)
	p, err := pidfd.Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p, reap
}

func TestWaitHasALimit(t *testing.T) {
	p, reap := sleeper(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if over, err := p.Wait(time.Millisecond); over || err != nil {
			t.Errorf("Wait = %v, %v for a process that lives", over, err)
		}
		if ended, err := p.Ended(); ended || err != nil {
			t.Errorf("Ended = %v, %v for a process that lives", ended, err)
		}
		if err := p.WaitContext(cancelled); !errors.Is(err, context.Canceled) {
			t.Errorf("WaitContext = %v, want context.Canceled", err)
		}
	}
	if err := p.End(); err != nil {
		t.Error(err)
	}
	for _, when := range []string{"ended", "been reaped"} {
		if over, err := p.Wait(time.Minute); !over || err != nil {
			t.Errorf("Wait = %v, %v for a process that has %s", over, err, when)
		}
		if ended, err := p.Ended(); !ended || err != nil {
			t.Errorf("Ended = %v, %v for a process that has %s", ended, err, when)
		}
		if err := errors.Join(p.Await(), p.WaitContext(t.Context())); err != nil {
			t.Errorf("waiting for a process that has %s: %v", when, err)
		}
		reap()
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill of an ended process: %v", err)
	}
	if _, err := pidfd.Open(p.PID); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Open of an ended process: %v, want ESRCH", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if ended, err := p.Ended(); ended || err == nil {
		t.Errorf("Ended = %v, %v of what is closed", ended, err)
	}
}

func TestManyWait(t *testing.T) {
	p, _ := sleeper(t)
	defer p.Close()
	const n = 8
	errs := make(chan error)
	for k := range n {
		go func() {
			if k%2 == 0 {
				errs <- p.Await()
				return
			}
			over, err := p.Wait(time.Minute)
			if err == nil && !over {
				err = errors.New("it has not ended")
			}
			errs <- err
		}()
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsTheWaiting(t *testing.T) {
	p, _ := sleeper(t)
	errs := make(chan error)
	go func() { errs <- p.Await() }()
	go func() {
		_, err := p.Wait(time.Minute)
		errs <- err
	}()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-errs; err == nil {
			t.Error("a process that lives has ended")
		}
	}
	if err := p.Kill(); err == nil {
		t.Error("a closed handle kills")
	}
}

func TestOnEndLeavesAChildToItsParent(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 7")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	ended := make(chan struct{})
	pidfd.OnEnd(cmd.Process, func() { close(ended) })
	<-ended
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != nil || info.Signo != int32(unix.SIGCHLD) {
		t.Errorf("waitid = %+v, %v: the child has not ended or has been reaped", info, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("it ended with %v", err)
	}
}
