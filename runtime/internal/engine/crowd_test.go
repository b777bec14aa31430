package engine_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

var (
	flagInstances = flag.Int("engine.instances", 2000, "how many `instances` TestCrowd holds in one process, more than 1000")
	flagProcesses = flag.Int("engine.processes", 40, "how many `processes` TestProcesses holds")
)

// A footprint is what a process has of memory.
type footprint struct {
	pss, vms uint64 // bytes
	maps     int
}

func footprintOf(t *testing.T, pid int) footprint {
	t.Helper()
	p := must(procfs.NewProc(pid))
	maps := must(os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)))
	return footprint{must(p.ProcSMapsRollup()).Pss, uint64(must(p.Stat()).VSize), bytes.Count(maps, []byte{'\n'})}
}

func (f footprint) String() string {
	return fmt.Sprintf("PSS %.1f MiB, VMS %.1f GiB, %d maps", float64(f.pss)/(1<<20), float64(f.vms)/(1<<30), f.maps)
}

// Thousands of instances live in one process and answer, they lie apart, and
// the memory of those that were closed comes back.
func TestCrowd(t *testing.T) {
	n := *flagInstances
	for _, tt := range []struct {
		name string
		r    runtime.Runtime
	}{
		{"wazero", wazero.Embedded()},
		{"wasmtime", wasmtime.Embedded(wasmtime.EmbeddedOptions{MaxInstances: n})},
		{"wasmtime-go", wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go})},
		{"wasmedge", wasmedge.Embedded()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			available(t, tt.r)
			w := workload.Hello(workload.C)
			img := prepare(t, tt.r, w)
			start := func() runtime.Instance {
				inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
				if err != nil {
					t.Fatal(err)
				}
				return inst
			}
			first := start()
			pid := first.Scope().Own[0]
			alone := footprintOf(t, pid)
			begin := time.Now()
			held := []runtime.Instance{first}
			for len(held) < n {
				held = append(held, start())
			}
			took := time.Since(begin)
			crowd := footprintOf(t, pid)
			t.Logf("one: %v; %d: %v, %d bytes each, started in %v", alone, n, crowd, (crowd.pss-alone.pss)/uint64(max(1, n-1)), took)
			if most := uint64(n)*100e3 + alone.pss; crowd.pss > most { // 1 GB for 10,000
				t.Errorf("%d instances take %d bytes, more than %d", n, crowd.pss, most)
			}
			var memories []runtime.Region
			for i := 0; i < n; i += max(1, n/200) {
				request := fmt.Sprintf("you, the %dth", i)
				answer, err := held[i].Call(t.Context(), []byte(request))
				if err != nil || string(answer) != "Hello, "+request+"!" {
					t.Fatalf("instance %d of %d answers %q, error %v", i, n, answer, err)
				}
				memories = append(memories, memoryOf(t, held[i]))
			}
			slices.SortFunc(memories, func(a, b runtime.Region) int { return int(a.Start>>12) - int(b.Start>>12) })
			for i, m := range memories[1:] {
				if m.Start < memories[i].End {
					t.Errorf("the memories at %#x and %#x overlap", memories[i].Start, m.Start)
				}
			}
			for _, inst := range held[1:] {
				if err := inst.Close(); err != nil {
					t.Fatal(err)
				}
			}
			// What stays is less than the memory that any of them has touched: 8 KiB
			// each that allocators keep for what comes next, and 8 MiB, for wazero's
			// image keeps 64 memories of 128 KiB. Go's collector comes to the rest
			// after some starts.
			kept := alone.pss + uint64(n)<<13 + 8<<20
			left := footprintOf(t, pid)
			for range 300 {
				if left.pss <= kept {
					break
				}
				if _, err := img.(runtime.StartTimer).TimeStarts(t.Context(), 100, false, w.Request(), w.Check); err != nil {
					t.Fatal(err)
				}
				left = footprintOf(t, pid)
			}
			t.Logf("after closing: %v", left)
			if left.pss > kept {
				t.Errorf("%d instances took it to %v, and after closing it has %v", n, crowd, left)
			}
			if _, err := first.Call(t.Context(), w.Request()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Many processes of an engine are started from several goroutines, live at once
// and answer.
func TestProcesses(t *testing.T) {
	for _, r := range []runtime.Runtime{wazero.Precompiled(), wasmtime.Precompiled(), wasmedge.Precompiled()} {
		t.Run(r.Name(), func(t *testing.T) {
			available(t, r)
			w := workload.Hello(workload.C)
			img := prepare(t, r, w)
			held := make([]runtime.Instance, *flagProcesses)
			t.Cleanup(func() {
				for _, inst := range held {
					if inst != nil {
						inst.Close()
					}
				}
			})
			begin := time.Now()
			var starters sync.WaitGroup
			for first := range 8 {
				starters.Go(func() {
					for i := first; i < len(held) && !t.Failed(); i += 8 {
						inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
						if err != nil {
							t.Error(err)
							return
						}
						held[i] = inst
					}
				})
			}
			starters.Wait()
			if t.Failed() {
				return
			}
			took := time.Since(begin)
			var pss uint64
			for _, inst := range held {
				pss += footprintOf(t, inst.Scope().Own[0]).pss
				if answer, err := inst.Call(t.Context(), w.Request()); err != nil || w.Check(answer) != nil {
					t.Fatalf("answer %q, error %v", answer, err)
				}
			}
			t.Logf("%d processes: PSS %.1f MiB, started in %v", len(held), float64(pss)/(1<<20), took)
		})
	}
}
