package docker_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/worker"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// private returns a runtime with a private daemon, which the test closes, and
// looks afterwards for what it left.
func private(t testing.TB) (*docker.Runtime, *rundirtest.Host) {
	t.Helper()
	host, before := rundirtest.Watch(t), lookAround(t)
	t.Setenv("DOCKER_HOST", "")
	r := docker.New(docker.Options{Private: true})
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for _, left := range host.Leftovers(t) {
			t.Errorf("left behind: %s", left)
		}
		before.compare(t)
	})
	return r, host
}

// prepare makes an image of w, which the test closes.
func prepare(t testing.TB, r *docker.Runtime, w workload.Workload) runtime.Image {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

// start starts an instance, which the test closes.
func start(t testing.TB, img runtime.Image, host *rundirtest.Host) runtime.Instance {
	t.Helper()
	inst, err := img.Start(t.Context(), ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	t.Cleanup(func() {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
	return inst
}

func ignore(runtime.Phase, time.Time) {}

// surroundings is what a daemon may change on a host beyond its directories.
type surroundings []string

func lookAround(t testing.TB) (s surroundings) {
	t.Helper()
	for _, pattern := range []string{"/etc/docker*", "/var/lib/docker*", "/var/run/docker*", "/run/docker*/*", "/opt/containerd", "/var/lib/containerd", "/sys/class/net/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, slices.DeleteFunc(found, ofARun)...)
	}
	for _, file := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/route_localnet", "/proc/sys/kernel/keys/root_maxkeys"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, file+" "+string(b))
	}
	if rules, err := exec.Command("iptables-save").Output(); err == nil {
		s = append(s, string(rules))
	}
	return s
}

// ofARun reports whether path is that of a bridge of a run, here or elsewhere, or
// of a device on one. rundirtest looks for those of the tests' own.
func ofARun(path string) bool {
	bridge := path
	if master, err := os.Readlink(filepath.Join(path, "master")); err == nil {
		bridge = master
	}
	return strings.HasPrefix(filepath.Base(bridge), "wb-")
}

// compare fails the test if something has been added, unless it goes while a
// run elsewhere may still be using it.
func (s surroundings) compare(t testing.TB) {
	t.Helper()
	var added []string
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		added = slices.DeleteFunc(lookAround(t), func(fact string) bool { return slices.Contains(s, fact) })
		if len(added) == 0 {
			return
		}
	}
	t.Errorf("changed on the host: %q", added)
}

// The daemon is started once for what does not harm it.
func TestPrivateDaemon(t *testing.T) {
	r, host := private(t)
	for name, test := range map[string]func(*testing.T, *docker.Runtime, *rundirtest.Host){
		"calls":       testCalls,
		"catalogue":   testCatalogue,
		"at once":     testStartsAtTheSameTime,
		"restart":     testRestart,
		"pause":       testPause,
		"not started": testGuestsThatDoNotStart,
		"died":        testGuestsThatDieOfARequest,
		"contexts":    testContexts,
		"server":      testServer,
		"no server":   testNoServer,
		"bridge":      testBridge,
		"web guests":  testWebGuests,
		"directories": testDirectories,
		"clocks":      testThreadsAndClocks,
	} {
		t.Run(name, func(t *testing.T) { test(t, r, host) })
	}
}

func testCalls(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	info, err := r.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", info)
	for _, want := range []string{"seccomp", "capabilities", "empty network namespace", "bridge without packet filter", "private daemon", " on "} {
		if !strings.Contains(info.Settings, want) {
			t.Errorf("the settings %q do not tell of %s", info.Settings, want)
		}
	}
	for _, want := range []string{"docker ", "containerd ", "runc "} {
		if !strings.Contains(info.Version, want) {
			t.Errorf("the version %q does not tell of %s", info.Version, want)
		}
	}
	w := rundirtest.Echo{Dir: guests}
	img := prepare(t, r, w)
	root, err := w.Artifact(t.Context(), workload.RootFS)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := oci.Pack(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if digested, ok := img.(interface{ Digest() string }); !ok || digested.Digest() != packed.Digest || img.Bytes() != packed.Bytes {
		t.Errorf("the image is not the one packed: %+v", packed)
	}
	var instances []runtime.Instance
	for range 2 {
		inst, timeline, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		instances = append(instances, inst)
		if timeline.Durations[runtime.Create] == 0 || timeline.Durations[runtime.Start] == 0 || timeline.Durations[runtime.Ready] == 0 {
			t.Errorf("phases %v", timeline.Durations)
		}
		checkScope(t, inst.Scope())
		if !strings.HasPrefix(inst.Scope().Cgroup, "/wasmbench/") {
			t.Errorf("the cgroup %s is not that of the run", inst.Scope().Cgroup)
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

// checkScope wants the guest and its shim, dockerd and its containerd.
func checkScope(t *testing.T, s runtime.Scope) {
	t.Helper()
	var names []string
	for _, pid := range slices.Concat(s.Own, s.Shared) {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		if err != nil {
			t.Error(err)
		}
		names = append(names, strings.TrimSpace(string(b)))
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"containerd", "containerd-shim", "dockerd", "guest"}) || len(s.Own) != 2 || s.Cgroup == "" {
		t.Errorf("the scope %+v is %q", s, names)
	}
}

func testCatalogue(t *testing.T, r *docker.Runtime, _ *rundirtest.Host) {
	for _, language := range []workload.Language{"c", "go"} {
		w := workload.Hello(language)
		inst, _, err := runtime.FirstAnswer(t.Context(), prepare(t, r, w), w.Request(), w.Check)
		if err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testStartsAtTheSameTime(t *testing.T, r *docker.Runtime, _ *rundirtest.Host) {
	w := rundirtest.Echo{Dir: guests}
	img := prepare(t, r, w)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			if err != nil {
				t.Error(err)
				return
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func testRestart(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	w := rundirtest.Echo{Dir: guests}
	inst := start(t, prepare(t, r, w), host)
	restarter := inst.(runtime.Restarter)
	if err := restarter.Restart(t.Context(), ignore); err == nil {
		t.Error("a guest that runs was restarted")
	}
	for range 2 {
		before := inst.Scope()
		if err := restarter.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := inst.Call(t.Context(), w.Request()); err == nil {
			t.Error("a stopped guest answers")
		}
		if s := inst.Scope(); len(s.Own) > 0 {
			t.Errorf("a stopped guest has the scope %+v", s)
		}
		var marks []runtime.Phase
		if err := restarter.Restart(t.Context(), func(p runtime.Phase, _ time.Time) { marks = append(marks, p) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(marks, []runtime.Phase{runtime.Start, runtime.Ready}) {
			t.Errorf("marks %v", marks)
		}
		answer, err := inst.Call(t.Context(), w.Request())
		if err := errors.Join(err, w.Check(answer)); err != nil {
			t.Fatal(err)
		}
		after := inst.Scope()
		host.Add(after)
		checkScope(t, after)
		if after.Cgroup != before.Cgroup || after.Own[0] == before.Own[0] {
			t.Errorf("from %+v to %+v: not the same container with another process", before, after)
		}
	}
	if err := restarter.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A request that a paused guest was sent is answered when it runs again, and
// not before.
func testPause(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	w := rundirtest.Echo{Dir: guests}
	img := prepare(t, r, w)
	inst := start(t, img, host)
	pauser := inst.(runtime.Pauser)
	if err := pauser.Resume(t.Context()); err == nil {
		t.Error("a guest that runs was resumed")
	}
	for range 2 {
		if err := pauser.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() {
			answer, err := inst.Call(t.Context(), w.Request())
			answered <- errors.Join(err, w.Check(answer))
		}()
		select {
		case err := <-answered:
			t.Fatalf("a paused guest answers: %v", err)
		case <-time.After(200 * time.Millisecond):
		}
		if err := pauser.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	paused := start(t, img, host) // closed as it is
	if err := paused.(runtime.Pauser).Pause(t.Context()); err != nil {
		t.Error(err)
	}
}

// script is a workload whose guest names an interpreter that is not there.
func script(t *testing.T) workload.Workload {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "guest"), []byte("#!/usr/bin/node\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return workload.Prebuilt{Label: "script", Files: map[workload.Form]string{workload.RootFS: root}}
}

func testGuestsThatDoNotStart(t *testing.T, r *docker.Runtime, _ *rundirtest.Host) {
	for name, test := range map[string]struct {
		w    workload.Workload
		want error
		text string
	}{
		"no worker":      {rundirtest.Echo{Mode: "other", Dir: guests}, worker.ErrProtocol, "HTTP"},
		"no command":     {rundirtest.Echo{Mode: "missing", Dir: guests}, oci.ErrCommand, "missing"},
		"no interpreter": {script(t), oci.ErrCommand, "interpreter"},
		"exits":          {rundirtest.Echo{Mode: "exits", Dir: guests}, nil, "no reason to stay"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := prepare(t, r, test.w).Start(t.Context(), ignore)
			t.Log(err)
			if err == nil || !strings.Contains(err.Error(), test.text) || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.text)
			}
			var exit *oci.ExitError
			if test.want == nil && (!errors.As(err, &exit) || exit.Status != 3 || exit.Stderr != test.text) {
				t.Errorf("error %v, want an *ExitError with status 3 and what the guest wrote", err)
			}
		})
	}
}

func testGuestsThatDieOfARequest(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	for mode, wrote := range map[string]string{"dies": "", "lingers": "at last", "chokes": ""} {
		inst := start(t, prepare(t, r, rundirtest.Echo{Mode: mode, Dir: guests}), host)
		_, err := inst.Call(t.Context(), make([]byte, 1<<20)) // more than there is room for on the way
		var exit *oci.ExitError
		if !errors.As(err, &exit) || exit.Status != 4 || exit.Stderr != wrote {
			t.Errorf("%s: error %v, want an *ExitError with status 4 and %q", mode, err, wrote)
		}
	}
}

func testContexts(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	silent := prepare(t, r, rundirtest.Echo{Mode: "silent", Dir: guests})
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := silent.Start(ctx, ignore)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Start within %v: error %v, want context.DeadlineExceeded", after, err)
		}
	}
	// Such a guest does not end at the end of its input either.
	stubborn := prepare(t, r, rundirtest.Echo{Mode: "stubborn", Dir: guests})
	ctx, cancel := context.WithCancel(t.Context())
	inst, err := stubborn.Start(ctx, ignore)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	cancel()
	if _, err := inst.Call(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Call: error %v, want context.Canceled", err)
	}
	if err := inst.(runtime.Restarter).Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: error %v, want context.Canceled", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
	mute := start(t, prepare(t, r, rundirtest.Echo{Mode: "mute", Dir: guests}), host)
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := mute.Call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Call: error %v, want context.DeadlineExceeded", err)
	}
}

// Many are started at a time, live side by side and are closed at a time.
func TestCrowd(t *testing.T) {
	w := rundirtest.Echo{Dir: t.TempDir()}
	r, host := private(t)
	img := prepare(t, r, w)
	rundirtest.Crowd(t, host, img, w, 50, 4)
}
