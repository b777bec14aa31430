package measure_test

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// The components of an engine that tells where the instance lies, and of one that
// does not.
var (
	mapped   = []string{"linear", "code", "stack", "engine"}
	unmapped = []string{"code", "stack", "engine"}
)

// engines are all that tell where their instances lie.
func engines() []runtime.Runtime {
	return []runtime.Runtime{
		wazero.Precompiled(), wazero.Interpreter(), wazero.Embedded(),
		wasmtime.Precompiled(), wasmtime.JIT(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}),
		wasmedge.Precompiled(), wasmedge.Interpreter(), wasmedge.Embedded(),
	}
}

// profileEngine profiles an instance that has answered or is ready, the second
// of an image whose instances share a process.
func profileEngine(t *testing.T, r runtime.Runtime, w workload.Workload) map[string]int64 {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	orSkip(t, err)
	defer img.Close()
	inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	defer inst.Close()
	if _, embedded := img.(runtime.StartTimer); embedded || w.Name() != "growing" {
		answer, err := inst.Call(t.Context(), w.Request())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Check(answer); err != nil {
			t.Fatal(err)
		}
	}
	regions, err := inst.(runtime.Mapper).Regions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return profile(t, inst.Scope(), measure.ProfileOptions{Engine: true, Regions: regions}, mapped...)
}

func TestProfileOfEngines(t *testing.T) {
	for i, r := range engines() {
		t.Run(strconv.Itoa(i)+r.Name(), func(t *testing.T) {
			parts := profileEngine(t, r, workload.Hello(workload.C))
			interpreter := strings.HasSuffix(r.Name(), "-interp")
			if (parts["code"] == 0) != interpreter || parts["code"] > 1<<20 {
				t.Errorf("%d bytes of code", parts["code"])
			}
			// A guest of C has two pages of 64 KiB and writes a few KiB.
			if b := parts["linear"]; b == 0 || b > 128<<10 {
				t.Errorf("%d bytes of linear memory", b)
			}
			if b := parts["stack"]; b == 0 || b > 1<<20 {
				t.Errorf("%d bytes of stacks", b)
			}
			if b := parts["engine"]; b < 1<<20 { // it shares its text with others of its kind
				t.Errorf("%d bytes of engine", b)
			}
		})
	}
}

// What a module grows its memory by is linear memory to the byte.
func TestProfileFindsLinearMemory(t *testing.T) {
	for i, r := range engines() {
		t.Run(strconv.Itoa(i)+r.Name(), func(t *testing.T) {
			small := profileEngine(t, r, newGrowing(t, 0))
			large := profileEngine(t, r, newGrowing(t, plantedBytes>>16))
			// As all parts add up, no other has it. What they have else depends
			// on who runs the same engine meanwhile.
			if b := small["linear"]; b > 64<<10 {
				t.Errorf("%d bytes of linear memory before it has grown", b)
			}
			if b := large["linear"]; b < plantedBytes || b > plantedBytes+64<<10 {
				t.Errorf("%d bytes of linear memory, want %d", b, plantedBytes)
			}
		})
	}
}

// Many instances in one process, which may lie side by side.
func TestProfileOfManyInstances(t *testing.T) {
	const n, pages = 50, 16
	w := newGrowing(t, pages)
	for _, r := range []runtime.Runtime{wazero.Embedded(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmedge.Embedded()} {
		t.Run(r.Name(), func(t *testing.T) {
			img, err := r.Prepare(t.Context(), w)
			orSkip(t, err)
			defer img.Close()
			var scope runtime.Scope
			var all [][]runtime.Region
			var half []runtime.Region
			for i := range n {
				inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
				if err != nil {
					t.Fatal(err)
				}
				defer inst.Close()
				if _, err := inst.Call(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				regions, err := inst.(runtime.Mapper).Regions(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				scope, all = inst.Scope(), append(all, regions)
				if i%2 == 0 {
					half = append(half, regions...)
				}
			}
			for name, tt := range map[string]struct {
				regions []runtime.Region
				count   int64
			}{
				"none": {nil, 0}, "the first": {all[0], 1}, "the last": {all[n-1], 1},
				"every other": {half, n / 2}, "all but one": {slices.Concat(all[1:]...), n - 1},
				"all": {slices.Concat(all...), n},
			} {
				names := mapped
				if tt.regions == nil {
					names = unmapped
				}
				parts := profile(t, scope, measure.ProfileOptions{Engine: true, Regions: tt.regions}, names...)
				if want := tt.count * pages << 16; !closeTo(parts["linear"], want, 0.01) {
					t.Errorf("%s: %d bytes of linear memory, want %d", name, parts["linear"], want)
				}
			}
		})
	}
}

// Threads whose stacks this process may not look at are not told apart, and are no
// failure.
func TestStackPointersOfTheGuarded(t *testing.T) {
	self := os.Getpid()
	all, err := measure.StackPointers(self, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/syscall"); err == nil && len(all) == 0 {
		t.Errorf("no thread of this process has a stack")
	}
	for _, refusal := range []error{unix.EPERM, unix.EACCES, unix.ENOENT, unix.ESRCH} {
		refuse := func(path string) ([]byte, error) { return nil, &fs.PathError{Op: "open", Path: path, Err: refusal} }
		if pointers, err := measure.StackPointers(self, refuse); err != nil || len(pointers) != 0 {
			t.Errorf("%v: %d pointers, error %v", refusal, len(pointers), err)
		}
	}
	fail := func(path string) ([]byte, error) { return nil, unix.EIO }
	if _, err := measure.StackPointers(self, fail); !errors.Is(err, unix.EIO) {
		t.Errorf("a file that cannot be read gave %v", err)
	}
}
