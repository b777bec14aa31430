package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// What an instance has answered is found where it says that its memory lies, in
// that of no other, and also after the memory has grown.
func TestRegions(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		img := prepare(t, r, w)
		names := []string{"one", "other"}
		var held []runtime.Instance
		for range names {
			inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			held = append(held, inst)
		}
		for i, inst := range held {
			if _, err := inst.Call(t.Context(), []byte(names[i])); err != nil {
				t.Fatal(err)
			}
		}
		for i, inst := range held {
			for j, name := range names {
				if found := within(t, inst, "Hello, "+name+"!"); found != (i == j) {
					t.Errorf("the answer of instance %d is in the memory of instance %d: %t", j, i, found)
				}
			}
			request := strings.Repeat("long", 1<<18) + names[i] // more than the memory has
			if _, err := inst.Call(t.Context(), []byte(request)); err != nil {
				t.Fatal(err)
			}
			if !within(t, inst, "longlong"+names[i]+"!") {
				t.Errorf("what instance %d has answered after its memory grew is not there", i)
			}
		}
		checkCode(t, r, held[0])
		pid := held[0].Scope().Own[0]
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, shared := img.(runtime.StartTimer); shared {
			if _, err := held[1].(runtime.Mapper).Regions(t.Context()); err == nil {
				t.Error("a dead host says where an instance lies")
			}
		}
	})
}

// The region begins with address 0 of the guest. A guest that is a process is not
// as simple as this one, but its host finds its memory by the same code.
func TestRegionBegins(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		if !r.(*engine.Runtime).Embedded {
			return
		}
		img := prepare(t, r, both(t, wasmtest.Echo))
		for i := range 3 {
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			request := fmt.Sprintf("at 16 of %d", i)
			if _, err := inst.Call(t.Context(), []byte(request)); err != nil {
				t.Fatal(err)
			}
			mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", inst.Scope().Own[0]))
			if err != nil {
				t.Fatal(err)
			}
			defer mem.Close()
			got := make([]byte, len(request))
			if _, err := mem.ReadAt(got, int64(memoryOf(t, inst).Start)+16); err != nil || string(got) != request {
				t.Errorf("%q is where the request buffer should be, error %v", got, err)
			}
		}
	})
}

// The file of the code has the name by which the kernel knows it, also where the
// cache is reached by another.
func TestCodeOfACacheBehindALink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "cache")
	if err := os.Symlink(must(os.UserCacheDir()), link); err != nil {
		t.Fatal(err)
	}
	for _, r := range []runtime.Runtime{wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}), wasmedge.Embedded()} {
		t.Run(r.Name(), func(t *testing.T) {
			available(t, r)
			t.Setenv("XDG_CACHE_HOME", link)
			inst, err := prepare(t, r, workload.Hello(workload.C)).Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			checkCode(t, r, inst)
		})
	}
}

// memoryOf returns the instance's one region of linear memory.
func memoryOf(t *testing.T, inst runtime.Instance) (memory runtime.Region) {
	t.Helper()
	regions, err := inst.(runtime.Mapper).Regions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range regions {
		if r.Kind == runtime.LinearMemory {
			memory = r
			n++
		}
	}
	if n != 1 || memory.Start == 0 || memory.End <= memory.Start {
		t.Fatalf("regions %+v have no linear memory", regions)
	}
	return memory
}

// within tells whether text is in the first 8 MiB of the instance's memory.
func within(t *testing.T, inst runtime.Instance, text string) bool {
	t.Helper()
	pid, region := inst.Scope().Own[0], memoryOf(t, inst)
	mem, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var all []byte
	for _, m := range must(must(procfs.NewProc(pid)).ProcMaps()) {
		start, end := max(m.StartAddr, region.Start), min(m.EndAddr, region.End, region.Start+8<<20)
		if start >= end || !m.Perms.Read {
			continue
		}
		b := make([]byte, end-start)
		if _, err := mem.ReadAt(b, int64(start)); err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return bytes.Contains(all, []byte(text))
}

// checkCode looks for what the instance says of its code among the maps of its
// process.
func checkCode(t *testing.T, r runtime.Runtime, inst runtime.Instance) {
	t.Helper()
	regions, err := inst.(runtime.Mapper).Regions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var code []runtime.Region
	for _, g := range regions {
		if g.Kind == runtime.ModuleCode {
			code = append(code, g)
		}
	}
	// wazero's code is what is executable and of no file; WasmEdge's
	// interpreter has none.
	if silent := strings.HasPrefix(r.Name(), "wazero") || r.Name() == "wasmedge-interp"; silent != (len(code) == 0) {
		t.Errorf("regions of code: %+v", code)
	}
	for _, g := range code {
		found := false
		for _, m := range must(must(procfs.NewProc(inst.Scope().Own[0])).ProcMaps()) {
			inRange := m.StartAddr < g.End && g.Start < m.EndAddr
			found = found || m.Perms.Execute && (inRange || g.Path != "" && m.Pathname == g.Path)
		}
		if !found {
			t.Errorf("nothing executable is mapped at %+v", g)
		}
	}
}
