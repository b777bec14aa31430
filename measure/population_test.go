package measure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

func TestPopulationStartsInParallel(t *testing.T) {
	for _, parallel := range []int{1, 3, 4} {
		synctest.Test(t, func(t *testing.T) {
			c := &crowd{takes: always(10 * ms)}
			p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: parallel}))
			begin := time.Now()
			if err := p.Grow(t.Context(), 16); err != nil {
				t.Fatal(err)
			}
			took, serial := time.Since(begin), 160*ms
			if c.most != parallel || took < serial/time.Duration(parallel) || (took < serial) != (parallel > 1) {
				t.Errorf("parallel %d: %d starts at a time, %v in all where one after the other is %v", parallel, c.most, took, serial)
			}
			if p.Len() != 16 || c.live != 16 || c.asked != 16 {
				t.Errorf("%d held, %d live, %d asked", p.Len(), c.live, c.asked)
			}
			for _, tl := range p.Timelines() {
				if tl.FirstAnswer() != 10*ms || tl.Durations[runtime.Stop] != 0 {
					t.Errorf("durations %v", tl.Durations)
				}
			}
			if err := p.Close(); err != nil || c.live != 0 {
				t.Errorf("%d live after Close, error %v", c.live, err)
			}
		})
	}
}

func TestPopulationGrowsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The third and the fourth start together, and the third ends last.
		c := &crowd{takes: func(k int) time.Duration { return []time.Duration{1, 2, 40, 30, 5}[k] * ms }}
		var told []int
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 2, Progress: func(held int) { told = append(told, held) }}))
		for _, n := range []int{0, 4, 2, 5} {
			if err := p.Grow(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		var took []time.Duration
		for _, tl := range p.Timelines() {
			took = append(took, tl.FirstAnswer()/ms)
		}
		if want := []time.Duration{1, 2, 30, 40, 5}; !slices.Equal(took, want) || p.Len() != 5 {
			t.Errorf("%d held, first answers after %d ms, want %d", p.Len(), took, want)
		}
		if told != nil {
			t.Errorf("progress was told of %v within a second", told)
		}
		c.takes = always(400 * ms)
		if err := p.Grow(t.Context(), 25); err != nil {
			t.Fatal(err)
		}
		if len(told) < 2 || len(told) > 4 || !slices.IsSorted(told) || told[0] <= 5 {
			t.Errorf("in 4 seconds progress was told of %v", told)
		}
		if err := p.Close(); err != nil || c.live != 0 {
			t.Errorf("%d live, error %v", c.live, err)
		}
	})
}

func TestPopulationCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4, OperationLimit: time.Second}))
		if err := p.Check(t.Context(), 3); err != nil {
			t.Errorf("nobody was asked: %v", err)
		}
		if err := p.Grow(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct{ sample, asked int }{{7, 7}, {0, 20}, {-1, 20}, {20, 20}, {21, 20}} {
			c.asked, c.askedOf = 0, nil
			if err := p.Check(t.Context(), tt.sample); err != nil || c.asked != tt.asked || len(c.askedOf) != tt.asked {
				t.Errorf("a sample of %d: %d calls of %d instances, error %v; want %d", tt.sample, c.asked, len(c.askedOf), err, tt.asked)
			}
		}
		c.dead = map[int]bool{3: true, 17: true}
		err := p.Check(t.Context(), 0)
		if says := "20 were asked and 2 of these failed"; !errors.Is(err, errDead) || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
		c.dead, c.calls = nil, func(k int) time.Duration { return time.Duration(k/19) * time.Hour }
		if err := p.Check(t.Context(), 0); !errors.As(err, new(*measure.LimitError)) {
			t.Errorf("one that hangs gave %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPopulationCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, leaks := errors.New("stuck"), errors.New("leaks")
		c := &crowd{ends: func(k int) (time.Duration, error) {
			return 10 * ms, map[int]error{2: stuck, 5: leaks}[k]
		}}
		p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 4}))
		if err := p.Grow(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := p.Close(); !errors.Is(err, stuck) || !errors.Is(err, leaks) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took != 20*ms || c.live != 0 || p.Len() != 0 {
			t.Errorf("%d live and %d held after %v", c.live, p.Len(), took)
		}
		if err := p.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if err := p.Grow(t.Context(), 1); !errors.Is(err, measure.ErrPopulationClosed) || c.begun != 8 {
			t.Errorf("growing a closed population gave %v and %d starts", err, c.begun)
		}
		if len(p.Timelines()) != 8 {
			t.Errorf("%d timelines are left of 8", len(p.Timelines()))
		}
	})
}
