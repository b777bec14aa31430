package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
)

// guarded runs f on the guarded form of every runtime that has one.
func guarded(t *testing.T, f func(t *testing.T, r runtime.Runtime)) {
	for _, r := range runtimes() {
		t.Run(r.Name(), func(t *testing.T) {
			available(t, r)
			g := r.(runtime.Guarder).Guarded()
			if g == nil {
				t.Skip("an instance has a process of its own")
			}
			if _, err := g.Probe(t.Context()); errors.As(err, new(*runtime.Unavailable)) {
				t.Skip(err)
			}
			f(t, g)
		})
	}
}

func TestGuardedRuntimes(t *testing.T) {
	for _, r := range runtimes() {
		g := r.(runtime.Guarder).Guarded()
		if r.(*engine.Runtime).Embedded != (g != nil) {
			t.Errorf("%s, guarded: %v", r.Name(), g)
		}
		if g != nil && (g.Name() != r.Name() || g.(runtime.Guarder).Guarded() == nil) {
			t.Errorf("%s, guarded, has the name %s", r.Name(), g.Name())
		}
	}
	// One that cannot be guarded says so, with the remedy, whatever it is asked.
	g := wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}).(runtime.Guarder).Guarded()
	_, probed := g.Probe(t.Context())
	_, prepared := g.Prepare(t.Context(), both(t, wasmtest.Echo))
	_, served := g.(runtime.Server).PrepareServer(t.Context(), both(t, wasmtest.Echo), runtime.ServeOptions{})
	for _, err := range []error{probed, prepared, served} {
		if u := (*runtime.Unavailable)(nil); !errors.As(err, &u) || u.Fix == "" {
			t.Errorf("wasmtime-go, guarded: error %v", err)
		}
	}
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		for _, r := range []runtime.Runtime{r, r.(runtime.Guarder).Guarded()} {
			if info, err := r.Probe(t.Context()); err != nil || !strings.Contains(info.Settings, "interruptible=true") {
				t.Errorf("settings %q, error %v", info.Settings, err)
			}
		}
	})
}

var errEnough = errors.New("enough of it")

// endings are the ways in which the context of a guest ends that makes a file
// when it begins to spin. Each returns a context and whether that ended only
// then, which is known when it has ended.
var endings = []struct {
	name   string
	within func(ctx context.Context, sign string, attempt int) (_ context.Context, inTime func() bool)
	want   error
}{
	{"deadline", func(ctx context.Context, sign string, attempt int) (context.Context, func() bool) {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond<<attempt)
		return ctx, func() bool {
			cancel()
			return exists(sign)
		}
	}, context.DeadlineExceeded},
	{"cancelled", func(ctx context.Context, sign string, _ int) (context.Context, func() bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		go func() {
			for !exists(sign) && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel(errEnough)
		}()
		return ctx, func() bool {
			cancel(nil)
			return exists(sign)
		}
	}, errEnough},
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// spun has call made by a guest that makes the file sign when it begins to spin,
// until its context has ended only after that, in each of the ways. It wants the
// context's error of a host that lives.
func spun(t *testing.T, what, sign string, call func(ctx context.Context) error) {
	t.Helper()
	for _, end := range endings {
		for attempt, done := 0, false; !done; attempt++ {
			if err := os.RemoveAll(sign); err != nil {
				t.Fatal(err)
			}
			ctx, inTime := end.within(t.Context(), sign, attempt)
			err := call(ctx)
			done = inTime()
			if !errors.Is(err, end.want) || errors.Is(err, engine.ErrHostEnded) {
				t.Fatalf("%s, %s: error %v, want %v", what, end.name, err, end.want)
			}
		}
	}
}

// A guarded guest that never returns ends with the context of the call, however
// that is made and however it ends, and the others of its process live on.
func TestGuardedEndlessGuest(t *testing.T) {
	spinning, idle := []byte("spin"), []byte("hello")
	anything := func([]byte) error { return nil }
	calls := []struct {
		name string
		call func(ctx context.Context, inst runtime.Instance, others ...runtime.Instance) error
	}{
		{"call", func(ctx context.Context, inst runtime.Instance, _ ...runtime.Instance) error {
			_, err := inst.Call(ctx, spinning)
			return err
		}},
		{"timed call", func(ctx context.Context, inst runtime.Instance, _ ...runtime.Instance) error {
			_, err := inst.(runtime.CallTimer).TimeCalls(ctx, 3, spinning, anything)
			return err
		}},
		{"batch", func(ctx context.Context, inst runtime.Instance, _ ...runtime.Instance) error {
			_, err := inst.(runtime.BatchTimer).TimeBatches(ctx, 3, 1000, spinning, anything)
			return err
		}},
		{"together", func(ctx context.Context, inst runtime.Instance, others ...runtime.Instance) error {
			_, _, err := inst.(runtime.Companion).CallTogether(ctx, others, [][]byte{spinning, idle, spinning})
			return err
		}},
	}
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		dir := t.TempDir()
		img := prepare(t, r, mounted{modules{reactor: wasmtest.Write(t, wasmtest.Spin())}, dir})
		witness := start(t, img, 1)[0]
		host := must(procfs.NewProc(witness.Scope().Own[0]))
		alive := func() {
			t.Helper()
			answer, err := witness.Call(t.Context(), idle)
			if err != nil || string(answer) != string(idle) {
				t.Fatalf("another instance answers %q, error %v", answer, err)
			}
		}
		alive()
		var files, threads []int
		for range 3 {
			for _, call := range calls {
				spun(t, call.name, filepath.Join(dir, "s"), func(ctx context.Context) error {
					var team []runtime.Instance
					for range 3 {
						inst, err := img.Start(t.Context(), unmarked)
						if err != nil {
							t.Fatal(err)
						}
						team = append(team, inst)
					}
					err := call.call(ctx, team[0], team[1:]...)
					alive()
					if answer, err := team[0].Call(t.Context(), idle); err == nil && exists(filepath.Join(dir, "s")) {
						t.Errorf("%s: afterwards it answers %q", call.name, answer)
					}
					for _, inst := range team {
						if err := inst.Close(); err != nil {
							t.Errorf("%s: closing: %v", call.name, err)
						}
					}
					return err
				})
			}
			alive()
			files, threads = append(files, must(host.FileDescriptorsLen())), append(threads, must(host.Stat()).NumThreads)
		}
		if files[2] > files[0] || threads[2] > threads[0]+10 { // 20 guests are ended each time
			t.Errorf("the host has %d files and %d threads, from one time to the next", files, threads)
		}
	})
}

// What a guest does as it starts ends in the same way.
func TestGuardedEndlessStart(t *testing.T) {
	endless := modules{reactor: wasmtest.Write(t, wasmtest.SpinAtStart('s'))}
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		dir := t.TempDir()
		img := prepare(t, r, mounted{endless, dir})
		for range 3 {
			spun(t, "start", filepath.Join(dir, "s"), func(ctx context.Context) error {
				_, err := img.Start(ctx, unmarked)
				return err
			})
			spun(t, "timed starts", filepath.Join(dir, "s"), func(ctx context.Context) error {
				_, err := img.(runtime.StartTimer).TimeStarts(ctx, 2, false, nil, nil)
				return err
			})
		}
	})
}

// A host that does not end a call when it is told to is killed.
func TestGuardedHostThatHangs(t *testing.T) {
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		inst := start(t, prepare(t, r, both(t, wasmtest.Echo)), 1)[0]
		pid := inst.Scope().Own[0]
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := inst.Call(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, engine.ErrHostEnded) {
			t.Errorf("error %v, want the context's and that the host has ended", err)
		}
		if syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d lives on", pid)
		}
	})
}

// Images, guarded or not, that have come and gone leave the harness no files.
func TestGuardedLeavesNothing(t *testing.T) {
	openFiles := func() int { return len(must(os.ReadDir("/proc/self/fd"))) }
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		before := openFiles()
		for range 5 {
			img, err := r.Prepare(t.Context(), both(t, wasmtest.Echo))
			if err != nil {
				t.Fatal(err)
			}
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if answer, err := inst.Call(ctx, []byte("hello")); string(answer) != "hello" {
				t.Errorf("answer %q, error %v", answer, err)
			}
			cancel()
			if err := errors.Join(inst.Close(), img.Close()); err != nil {
				t.Error(err)
			}
		}
		if after := openFiles(); after > before {
			t.Errorf("%d files are open, %d were", after, before)
		}
	})
}
