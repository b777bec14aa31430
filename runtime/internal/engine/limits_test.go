package engine_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// fill starts instances until one is refused and returns them with the refusal.
func fill(t *testing.T, img runtime.Image, w workload.Workload) ([]runtime.Instance, error) {
	t.Helper()
	var held []runtime.Instance
	for len(held) < 1000 {
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			return held, err
		}
		held = append(held, inst)
	}
	t.Fatal("no limit was met")
	return nil, nil
}

// refused checks that err names what is used up and the remedy, that those that
// are held still answer, and that there is room again when one of them goes.
func refused(t *testing.T, img runtime.Image, w workload.Workload, held []runtime.Instance, err error, what, fix string) {
	t.Helper()
	var e *runtime.Exhausted
	if !errors.As(err, &e) || e.What != what || !strings.Contains(err.Error(), fix) {
		t.Errorf("error %v does not name %s and %q", err, what, fix)
	}
	for i, inst := range held {
		if answer, err := inst.Call(t.Context(), w.Request()); err != nil || w.Check(answer) != nil {
			t.Errorf("instance %d answers %q, error %v", i, answer, err)
		}
	}
	if err := held[len(held)-1].Close(); err != nil {
		t.Error(err)
	}
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatalf("after one was closed: %v", err)
	}
	for _, inst := range append(held[:len(held)-1], inst) {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPoolIsFull(t *testing.T) {
	r := wasmtime.Embedded(wasmtime.EmbeddedOptions{MaxInstances: 3})
	available(t, r)
	info, err := r.Probe(t.Context())
	if err != nil || !strings.Contains(info.Settings, "a pool of 3") {
		t.Errorf("settings %q, error %v", info.Settings, err)
	}
	w := workload.Hello(workload.C)
	img := prepare(t, r, w)
	held, err := fill(t, img, w)
	if len(held) != 3 {
		t.Errorf("a pool of 3 has %d instances", len(held))
	}
	refused(t, img, w, held, err, "instances of the pool", "raise MaxInstances")
}

func TestPoolDoesNotFit(t *testing.T) {
	r := wasmtime.Embedded(wasmtime.EmbeddedOptions{MaxInstances: 1 << 20})
	available(t, r)
	_, err := prepare(t, r, workload.Hello(workload.C)).Start(t.Context(), unmarked)
	var e *runtime.Exhausted
	if !errors.As(err, &e) || e.What != "address space" || !strings.Contains(err.Error(), "lower MaxInstances") {
		t.Errorf("error %v does not name the address space and the remedy", err)
	}
}

// What is out of range is an error in the words of who chose it, not in those of
// the host's command line.
func TestOptionsOutOfRange(t *testing.T) {
	available(t, wasmtime.Precompiled())
	for _, tt := range []struct {
		o    wasmtime.EmbeddedOptions
		says []string
	}{
		{wasmtime.EmbeddedOptions{MaxInstances: -1}, []string{"MaxInstances is -1", "between 1 and 1048576"}},
		{wasmtime.EmbeddedOptions{MaxInstances: 1<<20 + 1}, []string{"MaxInstances is 1048577", "between 1 and 1048576"}},
		{wasmtime.EmbeddedOptions{API: "quick"}, []string{`API "quick"`, "pooled and go"}},
	} {
		r := wasmtime.Embedded(tt.o)
		_, err := r.Probe(t.Context())
		_, started := prepare(t, r, workload.Hello(workload.C)).Start(t.Context(), unmarked)
		for _, err := range []error{err, started} {
			for _, s := range tt.says {
				if err == nil || !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "Usage") {
					t.Errorf("%+v: error %v does not say %q alone", tt.o, err, s)
				}
			}
		}
	}
}

// A host whose address space is used up says so, whatever its engine makes of
// it, and goes on.
func TestAddressSpace(t *testing.T) {
	for _, r := range []runtime.Runtime{wazero.Embedded(), wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}), wasmedge.Embedded()} {
		t.Run(r.Name(), func(t *testing.T) {
			available(t, r)
			w := workload.Hello(workload.C)
			img := prepare(t, r, w)
			first, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			if err != nil {
				t.Fatal(err)
			}
			pid := first.Scope().Own[0]
			most := uint64(must(must(procfs.NewProc(pid)).Stat()).VSize) + 40<<30 + 512<<20 // no multiple of what an instance reserves
			if err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
				t.Fatal(err)
			}
			held, err := fill(t, img, w)
			refused(t, img, w, append(held, first), err, "address space", "raise ulimit -v")
		})
	}
}

// endlessly starts an instance and has it called with a context that never ends
// by itself. It returns when the guest is at work.
func endlessly(t *testing.T, img runtime.Image) (inst runtime.Instance, called chan error, cancel func()) {
	t.Helper()
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	called = make(chan error, 1)
	go func() {
		_, err := inst.Call(ctx, nil)
		called <- err
	}()
	atWork(t, inst, called)
	return inst, called, cancel
}

// atWork returns when the host of an instance that is called has worked for a
// while longer.
func atWork(t *testing.T, inst runtime.Instance, called <-chan error) {
	t.Helper()
	host := must(procfs.NewProc(inst.Scope().Own[0]))
	for before := must(host.Stat()).CPUTime(); ; time.Sleep(time.Millisecond) {
		stat, err := host.Stat()
		select {
		case err := <-called:
			t.Fatalf("the call of a guest that never returns has ended: %v", err)
		default:
		}
		if err == nil && stat.CPUTime() > before+0.1 {
			return
		}
	}
}

// A context that ends while another's query is under way takes nothing from it.
func TestWaitingForTheHost(t *testing.T) {
	img := prepare(t, wazero.Embedded(), both(t, wasmtest.Loop))
	inst, called, cancelCall := endlessly(t, img)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := img.Start(ctx, unmarked); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	atWork(t, inst, called)
	cancelCall()
	if err := <-called; !errors.Is(err, context.Canceled) {
		t.Errorf("the query under way ended with %v, want its context's error", err)
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}

// Closing does not wait for a guest that never returns to a caller who waits for
// ever, and closes the rest.
func TestCloseWhileCalled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close func(img runtime.Image, called, other runtime.Instance) error
	}{
		{"image", func(img runtime.Image, _, _ runtime.Instance) error { return img.Close() }},
		{"instance", func(_ runtime.Image, called, _ runtime.Instance) error { return called.Close() }},
		{"another instance", func(_ runtime.Image, _, other runtime.Instance) error { return other.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := prepare(t, wazero.Embedded(), both(t, wasmtest.Loop))
			other, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			inst, called, cancel := endlessly(t, img)
			closed := make(chan error, 1)
			go func() { closed <- tt.close(img, inst, other) }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Error("closing waits for the call")
				cancel()
			}
			if err := <-called; !errors.Is(err, engine.ErrHostEnded) {
				t.Errorf("the call ended with %v", err)
			}
			for _, c := range []io.Closer{inst, other, img} {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			if pid := inst.Scope().Own[0]; syscall.Kill(pid, 0) == nil {
				t.Errorf("process %d lives on", pid)
			}
		})
	}
}
