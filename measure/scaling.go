package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Scaling is how memory grows with the number of instances that are held.
type Scaling struct {
	population *Population
	opts       HoldOptions
	before     HostMemory
	holdings   []Holding
	started    int           // instances, in all
	grew       time.Duration // how long that took
}

// NewScaling reads the host before the first instance of p is started.
func NewScaling(ctx context.Context, p *Population, opts HoldOptions) (*Scaling, error) {
	if p.Len() > 0 {
		return nil, fmt.Errorf("%d instances are held already: what the host was like without them is not known", p.Len())
	}
	before, err := ReadHostMemory(ctx)
	if err != nil {
		return nil, err
	}
	return &Scaling{population: p, opts: opts, before: before}, nil
}

// Before is the host as it was before the first instance was started.
func (s *Scaling) Before() HostMemory { return s.before }

// Rate is how many instances were started per second of growing, over all
// measurements; 0 where none was.
func (s *Scaling) Rate() float64 {
	if s.started == 0 || s.grew <= 0 {
		return 0
	}
	return float64(s.started) / s.grew.Seconds()
}

// Measure grows the population to n instances and reads what they take. Where a
// *LimitReached ends the growth it reads what is held then and returns that
// with the error. Nothing is read where no instance is held, and after a failure: the
// error is no *LimitReached then.
func (s *Scaling) Measure(ctx context.Context, n int) (Holding, error) {
	held, begin := s.population.Len(), time.Now()
	limit := s.population.Grow(ctx, n)
	grew := time.Since(begin)
	s.started += s.population.Len() - held
	s.grew += grew
	if limit != nil && (!errors.As(limit, new(*LimitReached)) || s.population.Len() == 0) {
		return Holding{}, limit
	}
	h, err := Hold(ctx, s.population.Len(), s.population.Scope(), s.before, s.opts)
	if err != nil && limit != nil {
		err = fmt.Errorf("%w; before that: %v", err, limit) // a limit as text, as Grow has it
	}
	if err != nil {
		return Holding{}, err
	}
	h.Started, h.Grew = h.Instances-held, grew
	s.holdings = slices.DeleteFunc(s.holdings, func(o Holding) bool { return o.Instances == h.Instances })
	s.holdings = append(s.holdings, h)
	return h, limit
}

// Fit returns the line through what all that was measured has taken, bytes over
// instances: the slope is what another instance takes. That is Total with the
// kernel's part as it was read, also where it is not above the floor or below 0: to
// leave it out of some points and not of others would bend the line.
//
// The intervals are of 95 % and those of FitLine: they tell how straight the readings
// of this one population lie, if all are off equally and independently. How much
// populations differ only other populations tell: the replication is the process.
func (s *Scaling) Fit() (Line, error) {
	return s.fit(func(h Holding) int64 { return h.processes() + h.Kernel })
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
