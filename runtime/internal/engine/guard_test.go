package engine_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
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
			if _, err := g.Probe(t.Context()); err != nil && strings.Contains(err.Error(), "wasmtime-go cannot interrupt") {
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
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		for _, r := range []runtime.Runtime{r, r.(runtime.Guarder).Guarded()} {
			if info, err := r.Probe(t.Context()); err != nil || !strings.Contains(info.Settings, "interruptible=true") {
				t.Errorf("settings %q, error %v", info.Settings, err)
			}
		}
	})
}

// spinOrEcho never answers a request of four bytes, and echoes others.
var spinOrEcho = append([]byte{
	0x20, 0, 0x41, 4, 0x46, 0x04, 0x40, // if the size is 4
	0x03, 0x40, 0x0c, 0, 0x0b, 0x0b, // loop br 0 end end
}, wasmtest.Echo...)

var errEnough = errors.New("enough of it")

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
	ends := []struct {
		name   string
		within func(ctx context.Context) (context.Context, context.CancelFunc)
		want   error
	}{
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 50*time.Millisecond)
		}, context.DeadlineExceeded},
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(50*time.Millisecond, func() { cancel(errEnough) })
			return ctx, func() { cancel(nil) }
		}, errEnough},
	}
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, modules{reactor: wasmtest.Write(t, wasmtest.Reactor(spinOrEcho))})
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
				for _, end := range ends {
					var team []runtime.Instance
					for range 3 {
						inst, err := img.Start(t.Context(), unmarked)
						if err != nil {
							t.Fatal(err)
						}
						team = append(team, inst)
					}
					ctx, cancel := end.within(t.Context())
					err := call.call(ctx, team[0], team[1:]...)
					cancel()
					if !errors.Is(err, end.want) || errors.Is(err, engine.ErrHostEnded) {
						t.Fatalf("%s, %s: error %v, want %v", call.name, end.name, err, end.want)
					}
					alive()
					if answer, err := team[0].Call(t.Context(), idle); err == nil {
						t.Errorf("%s, %s: afterwards it answers %q", call.name, end.name, answer)
					}
					for _, inst := range team {
						if err := inst.Close(); err != nil {
							t.Errorf("%s, %s: closing: %v", call.name, end.name, err)
						}
					}
				}
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
	endless := wasmtest.Write(t, wasmtest.Module(
		wasmtest.Func{Name: "_initialize", Type: wasmtest.Void, Code: wasmtest.Loop},
		wasmtest.Func{Name: "wasmbench_request", Type: wasmtest.I32ToI32, Code: wasmtest.At16},
		wasmtest.Func{Name: "wasmbench_answer", Type: wasmtest.I32ToI64, Code: wasmtest.Echo}))
	guarded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, modules{reactor: endless})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := img.Start(ctx, unmarked)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, engine.ErrHostEnded) {
				t.Fatalf("error %v, want the context's from a host that lives", err)
			}
			_, err = img.(runtime.StartTimer).TimeStarts(ctx, 2, false, nil, nil)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, engine.ErrHostEnded) {
				t.Fatalf("timed: error %v, want the context's from a host that lives", err)
			}
			cancel()
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
