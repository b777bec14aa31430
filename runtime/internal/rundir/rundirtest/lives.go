package rundirtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// start starts an instance that the test is done with when it has closed it.
func start(t *testing.T, host *Host, img runtime.Image) runtime.Instance {
	t.Helper()
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	return inst
}

func ignore(runtime.Phase, time.Time) {}

func call(t *testing.T, inst runtime.Instance, request, want string) {
	t.Helper()
	if answer, err := inst.Call(t.Context(), []byte(request)); err != nil || string(answer) != want {
		t.Errorf("Call(%q) = %q, %v, want %q", request, answer, err, want)
	}
}

func closeAll(t *testing.T, instances ...runtime.Instance) {
	t.Helper()
	for _, inst := range instances {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
}

// lives reports whether there is a process of that number that is no zombie.
func lives(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// Restart checks that instances of img, an Echo that "keeps" on top of a base,
// whose file has the text kept, can be stopped, restarted and closed.
func Restart(t *testing.T, host *Host, img runtime.Image, kept string) {
	inst := start(t, host, img)
	r := inst.(runtime.Restarter)
	call(t, inst, "one, ", "hello "+kept+"one, ")
	first := inst.Scope().Own
	if err := r.Restart(t.Context(), ignore); err == nil {
		t.Error("what runs was restarted")
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pid := range first {
		if lives(pid) {
			t.Errorf("process %d outlived Stop", pid)
		}
	}
	if _, err := inst.Call(t.Context(), nil); err == nil {
		t.Error("a stopped guest answers")
	}
	if err := r.Stop(t.Context()); err == nil {
		t.Error("it was stopped twice")
	}
	if own := inst.Scope().Own; len(own) > 0 {
		t.Errorf("a stopped instance has the processes %v", own)
	}

	line := runtime.NewTimeline(time.Now())
	if err := r.Restart(t.Context(), line.Mark); err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	if line.Durations[runtime.Load] != 0 || line.Durations[runtime.Start] == 0 || line.FirstAnswer() == 0 {
		t.Errorf("phases of a restart: %v", line.Durations)
	}
	call(t, inst, "two", "hello "+kept+"one, two")
	second := inst.Scope().Own
	if len(second) != len(first) || second[0] == first[0] {
		t.Errorf("processes %v and, restarted, %v", first, second)
	}

	// Another instance has a file of its own, may be closed while it is stopped
	// and after a restart that failed.
	stopped, failed := start(t, host, img), start(t, host, img)
	call(t, stopped, "me", "hello "+kept+"me")
	for _, i := range []runtime.Instance{stopped, failed} {
		if err := i.(runtime.Restarter).Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	whim := errors.New("a whim")
	cancel(whim)
	if err := failed.(runtime.Restarter).Restart(ctx, ignore); !errors.Is(err, whim) {
		t.Errorf("error %v, want %v", err, whim)
	}
	if err := r.Stop(ctx); !errors.Is(err, whim) {
		t.Errorf("error %v, want %v", err, whim)
	}
	call(t, inst, "", "hello "+kept+"one, two")
	closeAll(t, inst, stopped, failed)
}

// Pause checks that instances of img, an Echo, can be paused, resumed, stopped
// and closed.
func Pause(t *testing.T, host *Host, img runtime.Image) {
	inst := start(t, host, img)
	p := inst.(runtime.Pauser)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Pause(cancelled); !errors.Is(err, context.Canceled) || Frozen(t, inst.Scope()) {
		t.Errorf("error %v, want context.Canceled and nothing frozen", err)
	}
	for range 2 {
		if err := p.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !Frozen(t, inst.Scope()) {
			t.Error("a paused instance is not frozen")
		}
		if err := p.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if Frozen(t, inst.Scope()) {
			t.Error("a resumed instance is frozen")
		}
		call(t, inst, "you", "hello you")
	}

	stopped := start(t, host, img)
	for _, i := range []runtime.Instance{inst, stopped} {
		if err := i.(runtime.Pauser).Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := stopped.(runtime.Restarter)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stopped.(runtime.Pauser).Pause(t.Context()); err == nil {
		t.Error("what is stopped was paused")
	}
	if err := r.Restart(t.Context(), ignore); err != nil {
		t.Fatal(err)
	}
	host.Add(stopped.Scope())
	call(t, stopped, "you", "hello you")
	closeAll(t, inst, stopped)
}
