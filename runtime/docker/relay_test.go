package docker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
)

func ignorePhase(runtime.Phase, time.Time) {}

// foreign returns a runtime that uses the daemon of another, whose client it
// returns too, through a relay, and an instance that has to be killed.
func foreign(t *testing.T) (*Runtime, *rundirtest.Relay, *client.Client, instance) {
	t.Helper()
	owner, img, host := connected(t)
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	relay := rundirtest.NewRelay(t, host, owner.link.dir.Path(dockerSocket))
	r := New(Options{Host: "unix://" + relay.Socket})
	t.Cleanup(func() { r.Close() })
	stubborn, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "stubborn", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := stubborn.Start(t.Context(), ignorePhase)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	return r, relay, owner.link.client, inst.(instance)
}

// A guest whose end cannot be learned of any more is stopped all the same.
func TestStopAfterTheDaemonWasAway(t *testing.T) {
	r, relay, _, inst := foreign(t)
	pid := inst.pid
	relay.Cut()
	<-inst.life.exited
	if inst.life.err == nil {
		t.Fatal("waiting for the guest did not fail")
	}
	if err := inst.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := unix.Kill(pid, 0); err == nil {
		t.Error("the guest outlived Stop")
	}
	if err := inst.Restart(t.Context(), ignorePhase); err != nil {
		t.Error(err)
	}
	if err := errors.Join(inst.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}

// What a run could not remove from a daemon, the next one removes.
func TestCloseWithoutTheDaemon(t *testing.T) {
	r, relay, direct, inst := foreign(t)
	containers := func() int {
		t.Helper()
		all, err := direct.ContainerList(t.Context(), client.ContainerListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Items)
	}
	relay.Close()
	if err := inst.Stop(t.Context()); err == nil {
		t.Error("a guest of a daemon that is away was stopped")
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "next run") {
		t.Errorf("Close = %v", err)
	}
	if n := containers(); n != 1 {
		t.Fatalf("%d containers, want one that is left", n)
	}
	relay.Open(t)
	next := New(Options{Host: "unix://" + relay.Socket})
	if _, err := next.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if n := containers(); n != 0 {
		t.Errorf("%d containers are left", n)
	}
}

// A process is taken for the guest by its cgroup, not by its number alone, and
// whoever takes in the guest of a shim that has died is no part of it.
func TestScopeOfOthers(t *testing.T) {
	r, img, host := connected(t)
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	stubborn, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "stubborn", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := stubborn.Start(t.Context(), ignorePhase)
	if err != nil {
		t.Fatal(err)
	}
	whole := inst.Scope()
	host.Add(whole)
	if len(whole.Own) != 2 {
		t.Fatalf("Own = %v", whole.Own)
	}
	g := inst.(instance).guest
	g.pid = unix.Getpid() // as a daemon that counts otherwise would say
	if s := inst.Scope(); len(s.Own) > 0 || s.Cgroup != "" {
		t.Errorf("another process is in the scope %+v", s)
	}
	g.pid = whole.Own[0]
	// containerd would end the guest of a shim that is dead.
	daemon := r.link.private.containerd.process.Pid
	if err := errors.Join(unix.Kill(daemon, unix.SIGSTOP), unix.Kill(whole.Own[1], unix.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(daemon, unix.SIGCONT)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		p, err := procfs.NewProc(whole.Own[0])
		if err != nil {
			t.Fatal(err)
		}
		if stat, err := p.Stat(); err != nil || time.Now().After(deadline) {
			t.Fatalf("the guest's parent is %d, %v", stat.PPID, err)
		} else if stat.PPID != whole.Own[1] {
			break
		}
	}
	if s := inst.Scope(); !slices.Equal(s.Own, whole.Own[:1]) {
		t.Errorf("Own = %v, want the guest %d alone", s.Own, whole.Own[0])
	}
}
