package measure_test

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
)

func readHost(t *testing.T) measure.HostMemory {
	t.Helper()
	h, err := measure.ReadHostMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHostMemory(t *testing.T) {
	h := readHost(t)
	if h.Available <= 0 || h.Available > h.Total {
		t.Errorf("%d bytes of %d are available", h.Available, h.Total)
	}
	for what, n := range map[string]int64{"page tables": h.PageTables, "kernel stacks": h.KernelStacks, "slab": h.Slab} {
		if n <= 0 || n > h.Total/2 {
			t.Errorf("%s: %d bytes of %d", what, n, h.Total)
		}
	}
	if want := h.PageTables + h.KernelStacks + h.Slab + h.PerCPU; h.Kernel() != want {
		t.Errorf("the kernel keeps %d bytes, want %d", h.Kernel(), want)
	}
}

// 16384 page tables are 64 MiB of the kernel's and nothing of the process's. What
// the host does meanwhile may hide a quarter of that.
func TestHostMemoryOfPageTables(t *testing.T) {
	c := newMemoryChild(t)
	own, before := c.usage(t, measure.Memory).Own, readHost(t)
	c.tell(t, "scatter", 16384)
	after := readHost(t)
	if rose := after.PageTables - before.PageTables; rose < 48*mib {
		t.Errorf("page tables rose by %d bytes, want 64 MiB", rose)
	}
	if rose := after.Kernel() - before.Kernel(); rose < 48*mib {
		t.Errorf("the kernel's memory rose by %d bytes, want 64 MiB", rose)
	}
	footprintRoseBy(t, "own", own, c.usage(t, measure.Memory).Own, measure.Footprint{VMS: 32 << 30})
}
