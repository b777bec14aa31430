package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/aclements/go-moremath/stats"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A SpeedupSample is what Speedup measured, pair by pair.
type SpeedupSample struct {
	Alone []time.Duration // the time of the one that does all
	Team  []time.Duration // the time of those who divide it among them
	CPU   time.Duration   // that the own processes of the team spent while it worked, in all
	Wall  time.Duration   // from before the team began until it was done, in all
}

// Speedup measures n times how long the same work takes one worker, alone, and
// several, team: threads of one instance, which is then one part, or instances with
// a share each. Which of the two comes first changes from pair to pair, so that a
// host that becomes slower favours neither. Each is timed as by Together.
//
// opts.Budget begins no further pair, and opts.Limit is for alone and for team
// each. An error tells after how many pairs, and whose it is.
func Speedup(ctx context.Context, alone, team []Part, n int, opts CallOptions) (SpeedupSample, error) {
	var s SpeedupSample
	scope := ownOf(team)
	byAlone := func(ctx context.Context, reset func(int)) error {
		took, err := together(ctx, alone, reset)
		if err != nil {
			return fmt.Errorf("alone: %w", err)
		}
		s.Alone = append(s.Alone, took)
		return nil
	}
	byTeam := func(ctx context.Context, reset func(int)) error {
		took, err := s.metered(ctx, scope, func() (time.Duration, error) { return together(ctx, team, reset) })
		if err != nil {
			return fmt.Errorf("team of %d: %w", len(team), err)
		}
		s.Team = append(s.Team, took)
		return nil
	}
	pairs := 0
	err := sample(ctx, n, opts.Budget, opts.Limit, func(ctx context.Context, reset func(int)) error {
		collect()
		first, second := byAlone, byTeam
		if pairs%2 == 1 {
			first, second = second, first
		}
		if err := first(ctx, reset); err != nil {
			return err
		}
		if err := second(ctx, reset); err != nil {
			return err
		}
		pairs++
		return nil
	})
	if err != nil {
		return SpeedupSample{}, fmt.Errorf("after %d of %d pairs: %w", pairs, n, err)
	}
	return s, nil
}

// ownOf names the own processes of all parts.
func ownOf(parts []Part) (s runtime.Scope) {
	for _, p := range parts {
		s.Own = append(s.Own, p.Instance.Scope().Own...)
	}
	return s
}

// metered adds the processor time that work takes.
func (s *SpeedupSample) metered(ctx context.Context, scope runtime.Scope, work func() (time.Duration, error)) (took time.Duration, err error) {
	before, err := CPU.Read(ctx, scope)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if took, err = work(); err != nil {
		return 0, err
	}
	wall := time.Since(begin)
	after, err := CPU.Read(ctx, scope)
	if err != nil {
		return 0, err
	}
	s.CPU += after.CPU - before.CPU
	s.Wall += wall
	return took, nil
}

// Metrics returns the distribution of the team's times; cpu-%, the share of one
// processor that the team's own processes kept busy, to 100 for each worker; and
// eff-%, the efficiency of so many workers, by the median of the pairs.
//
// With T1 the time alone and Tp that of p workers the speed-up is S = T1/Tp and the
// efficiency E = S/p: 100 % where p workers are p times as fast. Source: Grama,
// Gupta, Karypis and Kumar, Introduction to Parallel Computing, second edition,
// section 5.2.
func (s SpeedupSample) Metrics(workers int) []Metric {
	ms := NewDistribution(s.Team).Metrics()
	if s.CPU > 0 && s.Wall > 0 {
		ms = append(ms, Metric{100 * float64(s.CPU) / float64(s.Wall), "cpu-%"})
	}
	if ratio := s.Ratio(); ratio > 0 && workers > 0 {
		ms = append(ms, Metric{100 * ratio / float64(workers), "eff-%"})
	}
	return ms
}

// Ratio returns the median over the pairs of the time alone by the time of the
// team: the speed-up, or, of the same work under two conditions, by how much the
// second is faster. It is 0 of no pairs.
func (s SpeedupSample) Ratio() float64 {
	if len(s.Alone) != len(s.Team) || len(s.Team) == 0 {
		return 0
	}
	ratios := make([]float64, len(s.Team))
	for i := range ratios {
		ratios[i] = float64(s.Alone[i]) / float64(s.Team[i])
	}
	return stats.Sample{Xs: ratios}.Quantile(0.5)
}
