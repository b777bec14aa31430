package measure_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
	steadily(t, func() error {
		c := newChild(t)
		own, before := c.usage(t, measure.Memory).Own, readHost(t)
		c.tell(t, "scatter", 16384)
		after := readHost(t)
		footprintRoseBy(t, "own", own, c.usage(t, measure.Memory).Own, measure.Footprint{VMS: 32 << 30})
		c.tell(t, "free", 1)
		if tables, kernel := after.PageTables-before.PageTables, after.Kernel()-before.Kernel(); tables < 48*mib || kernel < 48*mib {
			return fmt.Errorf("page tables rose by %d bytes, the kernel's memory by %d, want 64 MiB", tables, kernel)
		}
		return nil
	})
}

// The floor is how far the readings of a window lie apart.
func TestSwing(t *testing.T) {
	readings := []int64{50, 40, 70, 60}
	tests := []struct {
		name   string
		window time.Duration
		want   int64
		reads  int
	}{
		{"none", 0, 0, 0},
		{"the begin and the end", time.Millisecond, 10, 2},
		{"one between", 30 * time.Millisecond, 30, 3},
		{"many", time.Second, 30, 51},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				got, err := measure.Swing(t.Context(), tt.window, func(context.Context) (int64, error) {
					v := readings[min(n, len(readings)-1)]
					n++
					return v, nil
				})
				if err != nil || got != tt.want || n < tt.reads || n > tt.reads+1 {
					t.Errorf("%d in %d readings, error %v; want %d in %d", got, n, err, tt.want, tt.reads)
				}
			})
		})
	}
	why := errors.New("unreadable")
	if _, err := measure.Swing(t.Context(), time.Hour, func(context.Context) (int64, error) { return 0, why }); !errors.Is(err, why) {
		t.Errorf("a value that cannot be read gave %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := measure.Swing(ctx, time.Hour, func(context.Context) (int64, error) { cancel(why); return 0, nil }); !errors.Is(err, why) {
		t.Errorf("a context that has ended gave %v", err)
	}
}

func TestKernelFloor(t *testing.T) {
	floor, err := measure.KernelFloor(t.Context(), 100*time.Millisecond)
	if err != nil || floor < 0 || floor > readHost(t).Total {
		t.Errorf("%d bytes, error %v", floor, err)
	}
	if floor, err := measure.KernelFloor(t.Context(), 0); floor != 0 || err != nil {
		t.Errorf("without a window: %d bytes, error %v", floor, err)
	}
}
