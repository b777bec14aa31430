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

// A lasting instance can be stopped, restarted and paused, with planted delays.
type lasting struct {
	fakeInstance
	refused error
	did     []string
}

func newLasting(answer string) *lasting {
	return &lasting{fakeInstance: fakeInstance{&fake{answer: answer, serve: 7 * ms}}}
}

func (l *lasting) do(what string, takes time.Duration) error {
	l.did = append(l.did, what)
	time.Sleep(takes)
	return l.refused
}

func (l *lasting) Stop(context.Context) error   { return l.do("stop", 500*ms) }
func (l *lasting) Pause(context.Context) error  { return l.do("pause", 11*ms) }
func (l *lasting) Resume(context.Context) error { return l.do("resume", 13*ms) }
func (l *lasting) Restart(_ context.Context, mark func(runtime.Phase, time.Time)) error {
	err := l.do("restart", 30*ms)
	mark(runtime.Ready, time.Now())
	return err
}

func TestRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLasting("pong")
		before := func(context.Context) error { return l.do("before", time.Second) }
		ts, err := measure.Restarts(t.Context(), l, l, 2, measure.StartOptions{Before: before, Limit: 40 * ms})
		if err != nil || len(ts) != 2 {
			t.Fatalf("%d timelines, error %v", len(ts), err)
		}
		for _, tl := range ts {
			if tl.Durations[runtime.Ready] != 30*ms || tl.Durations[runtime.Served] != 7*ms || tl.FirstAnswer() != 37*ms || tl.Durations[runtime.Stop] != 0 {
				t.Errorf("durations %v", tl.Durations)
			}
		}
		if want := []string{"stop", "before", "restart", "stop", "before", "restart"}; !slices.Equal(l.did, want) {
			t.Errorf("did %v, want %v", l.did, want)
		}
	})
}

func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLasting("pong")
		s, err := measure.Pauses(t.Context(), l, l, 3, measure.StartOptions{})
		if err != nil || len(s.Pause) != 3 || len(s.Resume) != 3 {
			t.Fatalf("%+v, error %v", s, err)
		}
		want := []measure.Metric{{Value: 11e6, Unit: "pause-ns"}, {Value: 11e6, Unit: "max-pause-ns"}, {Value: 20e6, Unit: "resume-ns"}, {Value: 20e6, Unit: "max-resume-ns"}}
		if got := s.Metrics(); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
	})
}

func TestRestartsAndPausesFail(t *testing.T) {
	refused := errors.New("refused")
	restarts := func(t *testing.T, inst runtime.Instance, w workload.Workload, limit time.Duration) error {
		ts, err := measure.Restarts(t.Context(), inst, w, 3, measure.StartOptions{Limit: limit})
		if ts != nil {
			t.Errorf("%d timelines came with error %v", len(ts), err)
		}
		return err
	}
	pauses := func(t *testing.T, inst runtime.Instance, w workload.Workload, limit time.Duration) error {
		s, err := measure.Pauses(t.Context(), inst, w, 3, measure.StartOptions{Limit: limit})
		if len(s.Metrics()) != 0 {
			t.Errorf("%+v came with error %v", s, err)
		}
		return err
	}
	for name, measured := range map[string]func(*testing.T, runtime.Instance, workload.Workload, time.Duration) error{"restarts": restarts, "pauses": pauses} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLasting("pong")
				l.refused = refused
				if err := measured(t, l, l, 0); !errors.Is(err, refused) {
					t.Errorf("refused: %v", err)
				}
				l = newLasting("pang")
				if err := measured(t, l, l, 0); !errors.As(err, new(*workload.WrongAnswer)) {
					t.Errorf("wrong answer: %v", err)
				}
				l = newLasting("pong")
				l.serve = time.Hour
				if err := measured(t, l, l, time.Minute); !errors.As(err, new(*measure.LimitError)) {
					t.Errorf("over the limit: %v", err)
				}
				if err := measured(t, &l.fakeInstance, l, 0); err == nil {
					t.Error("an instance that can do neither gave no error")
				}
			})
		})
	}
}
