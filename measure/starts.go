// Package measure turns instances into figures: how long a start takes, what a
// call costs, what an instance uses. What makes a figure hold is decided here
// and not by whoever asks: every answer is checked before its time counts, the
// clock stops at the same place for every runtime, and a failed operation is an
// error rather than a fast sample.
package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// StartOptions say which starts are timed. The zero value times starts of an
// image that has been started before.
type StartOptions struct {
	// First makes each start a first one: what the image keeps in memory from
	// the start before is forgotten, outside the clock.
	First bool
	// Before runs ahead of each start, outside the clock, and after what First
	// asks for.
	Before func(context.Context) error
	// Budget ends the sample early: no start is begun once so much time has
	// passed, all included. One is always made. 0 is no bound.
	Budget time.Duration
	// Limit ends with a *LimitError when one start takes longer. 0 is no limit.
	Limit time.Duration
}

// Starts starts n instances of img one after the other, each from before
// Image.Start to the first checked answer, and closes each before the next
// starts. It returns a timeline for each, or the first error.
func Starts(ctx context.Context, img runtime.Image, w workload.Workload, n int, opts StartOptions) ([]runtime.Timeline, error) {
	defer quiet()()
	ctx, reset, stop := watchdog(ctx, opts.Limit)
	defer stop()
	_, timer := img.(runtime.StartTimer)
	begin := time.Now()
	all := make([]runtime.Timeline, 0, n)
	for batch := 1; len(all) < n && (opts.Budget == 0 || len(all) == 0 || time.Since(begin) < opts.Budget); batch = min(2*batch, largestBatch) {
		if !timer || opts.Before != nil {
			batch = 1
		}
		reset(0)
		if err := between(ctx, img, opts); err != nil {
			return nil, err
		}
		reset(batch)
		ts, err := starts(ctx, img, w, min(batch, n-len(all)), opts.First)
		if err != nil {
			return nil, fmt.Errorf("after %d of %d starts: %w", len(all), n, err)
		}
		all = append(all, ts...)
	}
	return all, nil
}

// largestBatch bounds how many starts an image is asked to time at once.
const largestBatch = 256

// between does what comes outside the clock: the image forgets before Before
// runs, for pages that are still mapped stay in the page cache.
func between(ctx context.Context, img any, opts StartOptions) error {
	if u, ok := img.(runtime.Unloader); ok && opts.First {
		if err := u.Unload(ctx); err != nil {
			return err
		}
	}
	if opts.Before != nil {
		if err := opts.Before(ctx); err != nil {
			return err
		}
	}
	collect()
	return nil
}

// starts makes up to n starts, as many as the image can by itself.
func starts(ctx context.Context, img runtime.Image, w workload.Workload, n int, first bool) ([]runtime.Timeline, error) {
	if timer, ok := img.(runtime.StartTimer); ok {
		return timer.TimeStarts(ctx, n, first, w.Request(), w.Check)
	}
	t, err := runtime.TimeStart(ctx, img, w.Request(), w.Check)
	if err != nil {
		return nil, err
	}
	return []runtime.Timeline{*t}, nil
}

// StartMetrics returns the distribution of the times to the first checked
// answer, and the mean of each phase in NAME-ns. The means of all phases but
// stop add up to ns/op.
func StartMetrics(ts []runtime.Timeline) []Metric {
	if len(ts) == 0 {
		return nil
	}
	first := make([]time.Duration, len(ts))
	for i := range ts {
		first[i] = ts[i].FirstAnswer()
	}
	ms := NewDistribution(first).Metrics()
	for _, p := range runtime.Phases() {
		var sum float64
		for i := range ts {
			sum += float64(ts[i].Durations[p])
		}
		if sum > 0 {
			ms = append(ms, Metric{sum / float64(len(ts)), p.String() + "-ns"})
		}
	}
	return ms
}
