package containerd_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// prepare makes an image of a guest that behaves as mode says, which the test
// closes, and looks afterwards for what it left.
func prepare(t testing.TB, mode string) (runtime.Image, *rundirtest.Host) {
	t.Helper()
	host := rundirtest.Watch(t)
	r := containerd.New(containerd.Options{})
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	closeRuntime := func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: mode, Dir: t.TempDir()})
	if err != nil {
		closeRuntime()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
		closeRuntime()
		for _, left := range host.Leftovers(t) {
			t.Errorf("left behind: %s", left)
		}
	})
	return img, host
}

func ignore(runtime.Phase, time.Time) {}

func TestProbe(t *testing.T) {
	r := containerd.New(containerd.Options{})
	defer r.Close()
	info, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	t.Logf("%+v", info)
	if info.Version == "" || info.Settings == "" {
		t.Errorf("Probe = %+v", info)
	}
}

func TestProbeOfAbsentDaemon(t *testing.T) {
	const socket = "/no/such/socket"
	_, err := containerd.New(containerd.Options{Address: socket}).Probe(t.Context())
	var u *workload.Unavailable
	if !errors.As(err, &u) || u.Fix == "" {
		t.Fatalf("error %v, want an *Unavailable with a remedy", err)
	}
	if os.Geteuid() == 0 && (!strings.Contains(u.Why, socket) || !strings.Contains(u.Fix, "start that containerd")) {
		t.Errorf("error %v, want one with the socket and what to do about it", err)
	}
}

func TestCallsAndPhases(t *testing.T) {
	img, host := prepare(t, "")
	if img.Bytes() < 1<<19 {
		t.Errorf("Bytes = %d", img.Bytes())
	}
	w := rundirtest.Echo{}
	var instances []runtime.Instance
	for range 3 {
		inst, timeline, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		instances = append(instances, inst)
		if timeline.Durations[runtime.Load] == 0 || timeline.Durations[runtime.Create] == 0 || timeline.Durations[runtime.Start] == 0 {
			t.Errorf("phases %v", timeline.Durations)
		}
		if s := inst.Scope(); len(s.Own) != 2 || len(s.Shared) != 1 || s.Cgroup == "" {
			t.Errorf("Scope = %+v", s)
		}
	}
	for _, inst := range instances {
		answer, err := inst.Call(t.Context(), []byte("again"))
		if err != nil || string(answer) != "hello again" {
			t.Errorf("Call = %q, %v", answer, err)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStartsAtTheSameTime(t *testing.T) {
	img, _ := prepare(t, "")
	w := rundirtest.Echo{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 3 {
				inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
				if err != nil {
					t.Error(err)
					return
				}
				if err := inst.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// The guests of the catalogue speak as the guest of these tests does. Of those
// on a base one is enough here: each base takes seconds to unpack.
func TestCatalogue(t *testing.T) {
	prepare(t, "")
	r := containerd.New(containerd.Options{})
	for _, language := range []workload.Language{workload.C, workload.Go, workload.Python} {
		w := workload.Hello(language)
		img, err := r.Prepare(t.Context(), w)
		if errors.As(err, new(*workload.Unavailable)) {
			t.Logf("%s: %v", language, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		if err := errors.Join(inst.Close(), img.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuestsThatMisbehave(t *testing.T) {
	for mode, want := range map[string]error{"other": worker.ErrProtocol, "missing": oci.ErrCommand, "exits": new(oci.ExitError)} {
		t.Run(mode, func(t *testing.T) {
			img, _ := prepare(t, mode)
			_, err := img.Start(t.Context(), ignore)
			t.Log(err)
			var exit *oci.ExitError
			switch {
			case mode == "exits":
				if !errors.As(err, &exit) || exit.Stderr != "no reason to stay" || exit.Status != 3 {
					t.Errorf("error %v, want an *ExitError with what the guest wrote", err)
				}
			case !errors.Is(err, want):
				t.Errorf("error %v, want %v", err, want)
			}
		})
	}
}

func TestGuestThatDiesOfARequest(t *testing.T) {
	img, host := prepare(t, "dies")
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	_, err = inst.Call(t.Context(), []byte("x"))
	var exit *oci.ExitError
	if !errors.As(err, &exit) || exit.Status != 4 {
		t.Errorf("error %v, want an *ExitError with status 4", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// The cause of death is told even if the guest takes its time to die.
func TestGuestThatDiesSlowly(t *testing.T) {
	img, host := prepare(t, "lingers")
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	_, err = inst.Call(t.Context(), []byte("x"))
	var exit *oci.ExitError
	if !errors.As(err, &exit) || exit.Stderr != "at last" || exit.Status != 4 {
		t.Errorf("error %v, want an *ExitError with status 4 and what the guest wrote", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuestThatLivesOnWithoutItsOutput(t *testing.T) {
	img, host := prepare(t, "mute")
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	_, err = inst.Call(t.Context(), []byte("x"))
	var exit *oci.ExitError
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &exit) {
		t.Errorf("error %v, want io.ErrUnexpectedEOF and no *ExitError", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

func TestGuestThatIgnoresTheEndOfItsInput(t *testing.T) {
	img, host := prepare(t, "stubborn")
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

func TestContextEndsDuringStart(t *testing.T) {
	img, _ := prepare(t, "silent")
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := img.Start(ctx, ignore)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: error %v, want context.DeadlineExceeded", after, err)
		}
	}
}

func TestCloseAfterContext(t *testing.T) {
	img, host := prepare(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	inst, err := img.Start(ctx, ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	cancel()
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// Many are started at a time, live side by side and are closed at a time.
func TestCrowd(t *testing.T) {
	img, host := prepare(t, "")
	rundirtest.Crowd(t, host, img, rundirtest.Echo{}, 50, 4)
}
