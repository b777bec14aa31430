package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
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
			most := uint64(must(must(procfs.NewProc(pid)).Stat()).VSize) + 40<<30
			if err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
				t.Fatal(err)
			}
			held, err := fill(t, img, w)
			refused(t, img, w, append(held, first), err, "address space", "raise ulimit -v")
		})
	}
}

// A context that ends while another's query is under way takes nothing from it.
func TestWaitingForTheHost(t *testing.T) {
	w, err := workload.Fibonacci(workload.C, 39)
	if err != nil {
		t.Fatal(err)
	}
	img := prepare(t, wazero.Embedded(), w)
	inst, err := img.Start(t.Context(), unmarked)
	if err != nil {
		t.Fatal(err)
	}
	host := must(procfs.NewProc(inst.Scope().Own[0]))
	idle := must(host.Stat()).CPUTime()
	var answer []byte
	called := make(chan error, 1)
	go func() {
		var err error
		answer, err = inst.Call(t.Context(), w.Request())
		called <- err
	}()
	for must(host.Stat()).CPUTime() < idle+0.1 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond) // until the guest is at work
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := img.Start(ctx, unmarked); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	select {
	case err := <-called:
		t.Errorf("it waited for the end of another's query, whose error is %v", err)
	default:
		if err := <-called; err != nil || w.Check(answer) != nil {
			t.Errorf("the query under way was answered with %q, error %v", answer, err)
		}
	}
	if err := inst.Close(); err != nil {
		t.Error(err)
	}
}
