package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Holding is what instances take of a host while they are held.
type Holding struct {
	Instances int
	Usage     Usage   // of the processes, once they had settled
	Kernel    int64   // bytes by which page tables, kernel stacks, slab and per-processor memory have grown on the whole host; not above 0 where something else hides it
	Available int64   // bytes by which the host's available memory has shrunk
	Settled   Settled // of the PSS of all processes

	Started int           // how many of the instances were started for this reading
	Grew    time.Duration // how long that took, several at a time
}

// Total is the PSS of the processes, those that are shared charged once, and
// what the kernel has taken, in bytes.
func (h Holding) Total() int64 { return h.Usage.Own.PSS + h.Usage.Shared.PSS + max(h.Kernel, 0) }

// Metrics returns the PSS of the own processes in pss-B, Total in total-B, the
// kernel's part in kernel-B where it shows, and in settle-ns how long it took to
// settle. What never settled has the metric unsettled. inst/s is the rate of the
// starts, several at a time.
func (h Holding) Metrics() []Metric {
	ms := []Metric{
		{float64(h.Usage.Own.PSS), "pss-B"},
		{float64(h.Total()), "total-B"},
		{float64(h.Settled.Took), "settle-ns"},
	}
	if h.Kernel > 0 {
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

// Hold reads what n instances that together have the scope take, once it has
// settled. before is the host before the first of them was started. What else
// the host does meanwhile is in Kernel and Available.
func Hold(ctx context.Context, n int, scope runtime.Scope, before HostMemory, opts SettleOptions) (Holding, error) {
	h := Holding{Instances: n}
	var err error
	h.Settled, err = Settle(ctx, func(ctx context.Context) (int64, error) {
		u, err := Memory.Read(ctx, scope)
		h.Usage = u
		return u.Own.PSS + u.Shared.PSS, err
	}, opts)
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

// A Scaling is how memory grows with the number of instances that are held.
type Scaling struct {
	population *Population
	settle     SettleOptions
	before     HostMemory
	holdings   []Holding
}

// NewScaling reads the host before the first instance of p is started.
func NewScaling(ctx context.Context, p *Population, settle SettleOptions) (*Scaling, error) {
	if p.Len() > 0 {
		return nil, fmt.Errorf("%d instances are held already: what the host was like without them is not known", p.Len())
	}
	before, err := ReadHostMemory(ctx)
	if err != nil {
		return nil, err
	}
	return &Scaling{population: p, settle: settle, before: before}, nil
}

// Measure grows the population to n instances and reads what they take. Where a
// *LimitReached ends the growth it reads what is held then and returns that
// with the error. Nothing is read where no instance is held.
func (s *Scaling) Measure(ctx context.Context, n int) (Holding, error) {
	held, begin := s.population.Len(), time.Now()
	limit := s.population.Grow(ctx, n)
	grew := time.Since(begin)
	if limit != nil && (!errors.As(limit, new(*LimitReached)) || s.population.Len() == 0) {
		return Holding{}, limit
	}
	h, err := Hold(ctx, s.population.Len(), s.population.Scope(), s.before, s.settle)
	if err != nil {
		return Holding{}, errors.Join(err, limit)
	}
	h.Started, h.Grew = h.Instances-held, grew
	s.holdings = slices.DeleteFunc(s.holdings, func(o Holding) bool { return o.Instances == h.Instances })
	s.holdings = append(s.holdings, h)
	return h, limit
}

// Fit returns the line through the totals of all that was measured, bytes over
// instances: the slope is what another instance takes.
func (s *Scaling) Fit() (Line, error) {
	return s.fit(Holding.Total)
}

// FitAvailable returns the line through the host's loss of available memory,
// which counts neither files that are cached nor what a process is charged for
// them: a check of Fit by other means.
func (s *Scaling) FitAvailable() (Line, error) {
	return s.fit(func(h Holding) int64 { return h.Available })
}

func (s *Scaling) fit(bytes func(Holding) int64) (Line, error) {
	var x, y []float64
	for _, h := range s.holdings {
		x, y = append(x, float64(h.Instances)), append(y, float64(bytes(h)))
	}
	return FitLine(x, y, 0.95)
}
