package measure_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const ms = time.Millisecond

// Planted delays come back exactly, each in its phase, and what runs outside
// the clock is in none. synctest's clock makes that a matter of arithmetic.
func TestPhasesAreAttributed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{
			phases: []planted{{runtime.Create, 10 * ms}, {runtime.Start, 20 * ms}, {runtime.Load, 5 * ms}, {runtime.Ready, 30 * ms}},
			serve:  7 * ms, stop: 40 * ms, answer: "pong",
		}
		slow := func(context.Context) error { time.Sleep(time.Second); return nil }
		ts, err := measure.Starts(t.Context(), f, f, 3, measure.StartOptions{First: true, Before: slow})
		if err != nil {
			t.Fatal(err)
		}
		want := map[runtime.Phase]time.Duration{
			runtime.Create: 10 * ms, runtime.Start: 20 * ms, runtime.Load: 5 * ms, runtime.Ready: 30 * ms, runtime.Served: 7 * ms, runtime.Stop: 40 * ms,
		}
		if len(ts) != 3 {
			t.Fatalf("%d timelines, want 3", len(ts))
		}
		for _, tl := range ts {
			for p, d := range want {
				if tl.Durations[p] != d {
					t.Errorf("phase %v took %v, want %v", p, tl.Durations[p], d)
				}
			}
			if got := tl.FirstAnswer(); got != 72*ms {
				t.Errorf("first answer after %v, want 72ms", got)
			}
		}
		got := map[string]float64{}
		for _, m := range measure.StartMetrics(ts) {
			got[m.Unit] = m.Value
		}
		for unit, value := range map[string]float64{"ns/op": 72e6, "max-ns": 72e6, "create-ns": 10e6, "start-ns": 20e6, "load-ns": 5e6, "ready-ns": 30e6, "served-ns": 7e6, "stop-ns": 40e6} {
			if got[unit] != value {
				t.Errorf("%s = %v, want %v", unit, got[unit], value)
			}
		}
		if _, ok := got["p50-ns"]; ok {
			t.Error("three samples were given a median")
		}
	})
}

func TestStarts(t *testing.T) {
	refused := errors.New("refused")
	tests := []struct {
		name                      string
		fake                      fake
		n                         int
		opts                      measure.StartOptions
		want                      int
		wantErr                   error
		started, closed, unloaded int
	}{
		{name: "each is closed", fake: fake{answer: "pong"}, n: 5, want: 5, started: 5, closed: 5},
		{name: "none", fake: fake{answer: "pong"}},
		{name: "first starts unload", fake: fake{answer: "pong"}, n: 2, opts: measure.StartOptions{First: true}, want: 2, started: 2, closed: 2, unloaded: 2},
		{name: "wrong answer gives no time", fake: fake{answer: "pang"}, n: 5, wantErr: &workload.WrongAnswer{}, started: 1, closed: 1},
		{name: "failing start gives no time", fake: fake{startErr: refused}, n: 5, wantErr: refused},
		{name: "budget", fake: fake{answer: "pong", serve: 10 * ms}, n: 100, opts: measure.StartOptions{Budget: 25 * ms}, want: 3, started: 3, closed: 3},
		{name: "budget allows one", fake: fake{answer: "pong", serve: 10 * ms}, n: 100, opts: measure.StartOptions{Budget: 1}, want: 1, started: 1, closed: 1},
		{name: "limit", fake: fake{answer: "pong", serve: 30 * ms}, n: 5, opts: measure.StartOptions{Limit: 20 * ms}, wantErr: context.DeadlineExceeded, started: 1, closed: 1},
		{name: "within the limit", fake: fake{answer: "pong", serve: 19 * ms}, n: 5, opts: measure.StartOptions{Limit: 20 * ms}, want: 5, started: 5, closed: 5},
		{name: "what runs before may fail", fake: fake{answer: "pong"}, n: 5, opts: measure.StartOptions{Before: func(context.Context) error { return refused }}, wantErr: refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tt.fake
				ts, err := measure.Starts(t.Context(), &f, &f, tt.n, tt.opts)
				var wrong *workload.WrongAnswer
				if errors.As(tt.wantErr, &wrong) {
					if !errors.As(err, &wrong) {
						t.Errorf("error %v, want a *WrongAnswer", err)
					}
				} else if !errors.Is(err, tt.wantErr) {
					t.Errorf("error %v, want %v", err, tt.wantErr)
				}
				if len(ts) != tt.want {
					t.Errorf("%d timelines, want %d", len(ts), tt.want)
				}
				if f.started != tt.started || f.closed != tt.closed || f.unloaded != tt.unloaded {
					t.Errorf("started %d, closed %d, unloaded %d times; want %d, %d, %d", f.started, f.closed, f.unloaded, tt.started, tt.closed, tt.unloaded)
				}
			})
		})
	}
}

// What the image keeps is forgotten before the page cache is dropped: pages
// that are mapped would stay.
func TestUnloadComesBeforeBefore(t *testing.T) {
	f := &fake{answer: "pong"}
	_, err := measure.Starts(t.Context(), f, f, 2, measure.StartOptions{First: true, Before: func(context.Context) error {
		f.order = append(f.order, "before")
		return nil
	}})
	want := []string{"unload", "before", "start", "unload", "before", "start"}
	if err != nil || !slices.Equal(f.order, want) {
		t.Errorf("order %v, error %v; want %v", f.order, err, want)
	}
}

func TestStartsHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	f := &fake{answer: "pong"}
	if _, err := measure.Starts(ctx, f, f, 3, measure.StartOptions{}); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// timer is an image that times itself, in batches that it counts.
type timer struct {
	fake
	batches []int
	answers []string
}

func (m *timer) TimeStarts(_ context.Context, n int, _ bool, _ []byte, check func([]byte) error) ([]runtime.Timeline, error) {
	m.batches = append(m.batches, n)
	for _, a := range m.answers {
		if err := check([]byte(a)); err != nil {
			return nil, err
		}
	}
	return make([]runtime.Timeline, n), nil
}

func TestStartsLeavesTimingToTheImage(t *testing.T) {
	m := &timer{answers: []string{"pong"}}
	ts, err := measure.Starts(t.Context(), m, m, 100, measure.StartOptions{})
	if err != nil || len(ts) != 100 {
		t.Fatalf("%d timelines, error %v", len(ts), err)
	}
	if m.started != 0 || len(m.batches) > 8 {
		t.Errorf("started %d times by itself and asked in batches of %v", m.started, m.batches)
	}
	before := 0
	m.batches = nil
	_, err = measure.Starts(t.Context(), m, m, 3, measure.StartOptions{Before: func(context.Context) error { before++; return nil }})
	if err != nil || before != 3 || len(m.batches) != 3 {
		t.Errorf("with Before: error %v, %d calls of it, batches of %v", err, before, m.batches)
	}
	m.answers = []string{"pong", "pang"}
	if _, err := measure.Starts(t.Context(), m, m, 3, measure.StartOptions{}); !errors.As(err, new(*workload.WrongAnswer)) {
		t.Errorf("a wrong answer among the batch gave %v", err)
	}
}

func TestFloor(t *testing.T) {
	d, err := measure.Floor(t.Context(), 1000)
	if err != nil || d.Len() != 1000 {
		t.Fatalf("%d samples, error %v", d.Len(), err)
	}
	// Two clock readings: a harness that sleeps, polls or collects within the
	// clock is a thousand times slower.
	if p50, ok := d.Percentile(50); !ok || p50 > 100*time.Microsecond {
		t.Errorf("measuring nothing takes %v", p50)
	}
}
