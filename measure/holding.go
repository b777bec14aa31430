package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Holding is what instances take of a host while they are held: one reading of
// one population. How far readings differ is told by others in other processes.
type Holding struct {
	Instances int
	Usage     Usage   // of the processes, once they had settled
	Kernel    int64   // bytes by which page tables, kernel stacks, slab and per-processor memory have grown on the whole host; below 0 where something else has given more back
	Floor     int64   // bytes that Kernel must be above to be more than the host's own restlessness
	Available int64   // bytes by which the host's available memory has shrunk
	Settled   Settled // of what all processes have, the swapped included

	Started int           // how many of the instances were started for this reading
	Grew    time.Duration // how long that took, several at a time
}

// Total is the PSS of the processes, those that are shared charged once, and what
// of them is swapped out, in bytes; and what the kernel has taken, where that is
// above the floor. It is a single reading: the slope over several is
// Scaling.Fit's, where nothing is left out.
func (h Holding) Total() int64 {
	if h.Kernel > h.Floor {
		return h.processes() + h.Kernel
	}
	return h.processes()
}

func (h Holding) processes() int64 { return h.Usage.Own.Total() + h.Usage.Shared.Total() }

// Metrics returns the PSS of the own processes in pss-B, Total in total-B and in
// settle-ns how long it took to settle. swap-B is what is swapped out of all
// processes, where anything is, and kernel-B the kernel's part, where it is above the
// floor. What never settled has the metric unsettled. inst/s is the rate of the
// starts for this reading, several at a time.
func (h Holding) Metrics() []Metric {
	ms := []Metric{
		{float64(h.Usage.Own.PSS), "pss-B"},
		{float64(h.Total()), "total-B"},
		{float64(h.Settled.Took), "settle-ns"},
	}
	if swap := h.Usage.Own.Swap + h.Usage.Shared.Swap; swap > 0 {
		ms = append(ms, Metric{float64(swap), "swap-B"})
	}
	if h.Kernel > h.Floor {
		ms = append(ms, Metric{float64(h.Kernel), "kernel-B"})
	}
	if h.Started > 0 && h.Grew > 0 {
		ms = append(ms, Metric{float64(h.Started) / h.Grew.Seconds(), "inst/s"})
	}
	if !h.Settled.OK {
		ms = append(ms, Metric{1, "unsettled"})
	}
	return ms
}

// HoldOptions say how what is held is read. The zero value is SettleOptions' and no
// floor.
type HoldOptions struct {
	Settle      SettleOptions
	KernelFloor int64 // bytes, as the function KernelFloor measures them; becomes Holding.Floor
}

// Hold reads what n instances that together have the scope take, once it has
// settled. before is the host before the first of them was started. What else
// the host does meanwhile is in Kernel and Available. A scope without own processes
// is an error: instances take memory.
func Hold(ctx context.Context, n int, scope runtime.Scope, before HostMemory, opts HoldOptions) (Holding, error) {
	if len(scope.Own) == 0 {
		return Holding{}, fmt.Errorf("reading what %d instances take: their scope names no process of their own", n)
	}
	h := Holding{Instances: n, Floor: opts.KernelFloor}
	var err error
	h.Settled, err = Settle(ctx, func(ctx context.Context) (int64, error) {
		u, err := Memory.Read(ctx, scope)
		h.Usage = u
		return h.processes(), err
	}, opts.Settle)
	if err != nil {
		return Holding{}, err
	}
	after, err := ReadHostMemory(ctx)
	if err != nil {
		return Holding{}, err
	}
	h.Kernel = after.Kernel() - before.Kernel()
	h.Available = before.Available - after.Available
	return h, nil
}
