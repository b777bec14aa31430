package wasmbench

import (
	"io"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Every guest of the workloads that compute, cross boundaries and work on files
// does so on every runtime, in small, with a directory of the host where that
// is part of it.
func TestEveryWorkOnEveryRuntime(t *testing.T) {
	for _, r := range all() {
		t.Run(r.Name(), func(t *testing.T) {
			if c, ok := r.(io.Closer); ok {
				defer func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			for _, l := range workersOn(r.Name()) {
				t.Run("guest="+string(l), func(t *testing.T) { testWork(t, r, l) })
			}
		})
	}
}

// workersOn returns the languages in which guests work on a runtime in
// TestEveryWorkOnEveryRuntime. Modules that Go makes take seconds to compile, and
// minutes in WasmEdge: package workload has them on the others. An interpreter
// is the same on every container manager.
func workersOn(name string) []workload.Language {
	switch name {
	case "native":
		return []workload.Language{workload.C, workload.Go, workload.Node, workload.Python}
	case "containerd":
		return []workload.Language{workload.C, workload.Node, workload.Python}
	}
	return []workload.Language{workload.C}
}

func testWork(t *testing.T, r runtime.Runtime, l workload.Language) {
	const elements = 1000
	workers := 1
	if hasThreads(r.Name()) {
		workers = 3
	}
	must := func(g *workload.Guest, err error) *workload.Guest {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return onBase(g)
	}
	sum := must(workload.ParallelSum(l, workload.PartOptions{Elements: elements, To: elements, Workers: workers}))
	hash := must(workload.ParallelHash(l, workload.PartOptions{Elements: elements, From: 1, To: elements, Workers: workers}))
	load := must(workload.Load(l, workload.LoadOptions{Steps: 2, Rounds: 3, Blocks: 4})).WithMount(t.TempDir())
	echo := must(workload.Boundary(l, workload.Echo, 0))
	for _, set := range [][]workload.Workload{
		{sum, hash},
		{load},
		{echo, must(workload.Boundary(l, workload.Syscall, 100)), must(workload.Boundary(l, workload.Loop, 100))},
	} {
		withInstance(t, r, set[0], func(inst runtime.Instance) {
			for _, w := range set {
				if _, err := measure.Calls(t.Context(), inst, w, 2, measure.CallOptions{Limit: *flagOpLimit}); err != nil {
					t.Errorf("%s: %v", w.Name(), err)
				}
			}
		})
	}
	mounts := []string{t.TempDir()}
	if contains(r.Name()) {
		mounts = append(mounts, "")
	}
	for _, dir := range mounts {
		testFile(t, r, l, dir)
	}
}

// testFile makes every operation on a file in a directory of the host, or in the
// instance's own file system, and compares what comes of it.
func testFile(t *testing.T, r runtime.Runtime, l workload.Language, dir string) {
	t.Helper()
	f, err := workload.NewFile(l, "data", 1<<20, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	f = fileOnBase(f.WithMount(dir), l)
	clock, err := f.Clock(10)
	if err != nil {
		t.Fatal(err)
	}
	withInstance(t, r, clock, func(inst runtime.Instance) {
		j := &fileJob{instance: inst, file: f, generation: 7}
		for _, op := range fileOps {
			s, err := j.pass(t.Context(), 2, op, nil)
			if err != nil {
				t.Errorf("mount %q: %s: %v", dir, op.name, err)
				return
			}
			if len(s.Times) != 2 {
				t.Errorf("mount %q: %s: %d passes, want 2", dir, op.name, len(s.Times))
			}
		}
		if err := j.verify(); err != nil {
			t.Errorf("mount %q: %v", dir, err)
		}
		if err := j.remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// withInstance runs f with an instance of a workload, if the runtime and the guest
// are to be had.
func withInstance(t *testing.T, r runtime.Runtime, w workload.Workload, f func(runtime.Instance)) {
	t.Helper()
	img, err := prepareCell(t.Context(), &candidate{Runtime: r}, w, prepareImage)
	if lacking(t, r, err) {
		return
	}
	if err != nil {
		t.Errorf("%s: %v", w.Name(), err)
		return
	}
	t.Cleanup(func() { // not before, for what images have in common goes with the last of them
		if err := img.Close(); err != nil {
			t.Errorf("%s: %v", w.Name(), err)
		}
	})
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err == nil {
		f(inst)
		err = inst.Close()
	}
	if err != nil {
		t.Errorf("%s: %v", w.Name(), err)
	}
}
