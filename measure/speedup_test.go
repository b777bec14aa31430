package measure_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A recorder notes in whose turn its instance is called.
type recorder struct {
	fakeInstance
	name  string
	turns *[]string
}

func (r *recorder) Call(ctx context.Context, request []byte) ([]byte, error) {
	*r.turns = append(*r.turns, r.name)
	return r.fakeInstance.Call(ctx, request)
}

func TestSpeedup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var turns []string
		recorded := func(name string, serve time.Duration) measure.Part {
			r := &recorder{fakeInstance{&fake{answer: "pong", serve: serve}}, name, &turns}
			return measure.Part{Instance: r, Workload: r}
		}
		alone := []measure.Part{recorded("alone", 90*ms)}
		team := []measure.Part{recorded("team", 50*ms), part("pong", 60*ms)}
		s, err := measure.Speedup(t.Context(), alone, team, 4, measure.CallOptions{Limit: 91 * ms})
		if err != nil || !slices.Equal(s.Alone, slices.Repeat([]time.Duration{90 * ms}, 4)) || !slices.Equal(s.Team, slices.Repeat([]time.Duration{60 * ms}, 4)) || s.Wall != 240*ms {
			t.Fatalf("%+v, error %v", s, err)
		}
		if want := []string{"alone", "team", "team", "alone", "alone", "team", "team", "alone"}; !slices.Equal(turns, want) {
			t.Errorf("order %v, want %v", turns, want)
		}
		want := []measure.Metric{{Value: 60e6, Unit: "ns/op"}, {Value: 60e6, Unit: "max-ns"}, {Value: 75, Unit: "eff-%"}}
		if got := s.Metrics(2); !slices.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
		if s, err = measure.Speedup(t.Context(), alone, team, 100, measure.CallOptions{Budget: 200 * ms}); err != nil || len(s.Team) != 2 || len(s.Alone) != 2 {
			t.Errorf("with a budget: %+v, error %v", s, err)
		}
		if s, err = measure.Speedup(t.Context(), alone, team, 100, measure.CallOptions{Budget: 1}); err != nil || len(s.Team) != 1 || len(s.Alone) != 1 {
			t.Errorf("with a budget for one: %+v, error %v", s, err)
		}
	})
}

// A host that becomes slower from call to call makes nobody look better.
func TestSpeedupOnAHostThatSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		slower := func(base time.Duration) []measure.Part {
			d := &drifting{fakeInstance{&fake{answer: "pong"}}, base, &calls}
			return []measure.Part{{Instance: d, Workload: d}}
		}
		s, err := measure.Speedup(t.Context(), slower(100*ms), slower(25*ms), 20, measure.CallOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ms := s.Metrics(4)
		if eff := ms[len(ms)-1]; eff.Unit != "eff-%" || math.Abs(eff.Value-100) > 0.2 {
			t.Errorf("%v, want 100 eff-%%: one call is slower than the other by 1 %%", eff)
		}
	})
}

// A drifting instance takes a hundredth of its time longer with every call of its
// host.
type drifting struct {
	fakeInstance
	base  time.Duration
	calls *int
}

func (d *drifting) Call(ctx context.Context, request []byte) ([]byte, error) {
	d.serve = d.base + d.base*time.Duration(*d.calls)/100
	*d.calls++
	return d.fakeInstance.Call(ctx, request)
}

func TestSpeedupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok, wrong, slow := part("pong", ms), part("pang", ms), part("pong", time.Hour)
		late := newErrand(2, ms)
		for name, test := range map[string]struct {
			alone, team []measure.Part
			want        string
		}{
			"wrong alone":          {[]measure.Part{wrong}, []measure.Part{ok, ok}, "after 0 of 5 pairs: alone: part 1 of 1, fake: "},
			"wrong in the team":    {[]measure.Part{ok}, []measure.Part{ok, wrong}, "after 0 of 5 pairs: team of 2: part 2 of 2, fake: "},
			"slow in the team":     {[]measure.Part{ok}, []measure.Part{slow, ok}, "after 0 of 5 pairs: team of 2: part 1 of 2, fake: "},
			"wrong the third time": {[]measure.Part{ok}, []measure.Part{ok, {Instance: late, Workload: late}}, "after 2 of 5 pairs: team of 2: part 2 of 2, fake: "},
			"nobody alone":         {nil, []measure.Part{ok}, "alone: "},
			"nobody in the team":   {[]measure.Part{ok}, nil, "team of 0: "},
		} {
			s, err := measure.Speedup(t.Context(), test.alone, test.team, 5, measure.CallOptions{Limit: time.Second})
			if err == nil || !strings.Contains(err.Error(), test.want) || len(s.Metrics(2)) != 0 {
				t.Errorf("%s: %+v, error %v; want %q", name, s, err, test.want)
			}
			if limit := errors.As(err, new(*measure.LimitError)); limit != strings.HasPrefix(name, "slow") {
				t.Errorf("%s: an error of the limit: %v: %v", name, limit, err)
			}
			if answer := errors.As(err, new(*workload.WrongAnswer)); answer != strings.HasPrefix(name, "wrong") {
				t.Errorf("%s: a wrong answer: %v: %v", name, answer, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(5*ms, func() { cancel(why) })
		if _, err := measure.Speedup(ctx, []measure.Part{ok}, []measure.Part{ok, ok}, 1000, measure.CallOptions{}); !errors.Is(err, why) || !strings.Contains(err.Error(), "after 2 of 1000 pairs") {
			t.Errorf("the context ended meanwhile: %v", err)
		}
	})
}

// Only what the team spends counts, and a process once that several of its parts
// have.
func TestSpeedupCPU(t *testing.T) {
	c := worker{newChild(t), "compute", 50}
	one := []measure.Part{{Instance: c, Workload: c}}
	s, err := measure.Speedup(t.Context(), one, one, 3, measure.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU < 150*ms || s.CPU >= 250*ms || s.Wall < s.Team[0]+s.Team[1]+s.Team[2] {
		t.Errorf("%v in %v of a team that spent 150ms, and as much alone", s.CPU, s.Wall)
	}
	other := worker{newChild(t), "compute", 50}
	lodger := &companion{fakeInstance: fakeInstance{&fake{answer: "pong"}}, pid: other.pid}
	s, err = measure.Speedup(t.Context(), one, []measure.Part{{Instance: other, Workload: other}, {Instance: lodger, Workload: lodger}}, 1, measure.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU < 50*ms || s.CPU >= 90*ms {
		t.Errorf("%v of two parts of one process that spent 50ms", s.CPU)
	}
}

func TestSpeedupMetrics(t *testing.T) {
	d := func(seconds ...float64) (ds []time.Duration) {
		for _, s := range seconds {
			ds = append(ds, time.Duration(s*1e9))
		}
		return ds
	}
	for name, test := range map[string]struct {
		sample  measure.SpeedupSample
		workers int
		cpu     float64 // 0 where there is none
		eff     float64
	}{
		"perfect":          {measure.SpeedupSample{Alone: d(4, 4, 4), Team: d(1, 1, 1)}, 4, 0, 100},
		"by turns":         {measure.SpeedupSample{Alone: d(4, 4, 4), Team: d(4, 4, 4), CPU: 12 * time.Second, Wall: 12 * time.Second}, 4, 100, 25},
		"one, slow host":   {measure.SpeedupSample{Alone: d(1, 10, 1), Team: d(1, 10, 1)}, 1, 0, 100},
		"median, not mean": {measure.SpeedupSample{Alone: d(2, 2, 200), Team: d(1, 1, 1)}, 2, 0, 100},
		"of the pairs":     {measure.SpeedupSample{Alone: d(1, 2, 3), Team: d(1, 1, 1.5)}, 1, 0, 200},
		"of two":           {measure.SpeedupSample{Alone: d(2, 3), Team: d(1, 1), CPU: 3 * time.Second, Wall: 2 * time.Second}, 2, 150, 125},
		"better":           {measure.SpeedupSample{Alone: d(6), Team: d(2)}, 2, 0, 150},
	} {
		var cpu, eff float64
		for _, m := range test.sample.Metrics(test.workers) {
			switch m.Unit {
			case "cpu-%":
				cpu = m.Value
			case "eff-%":
				eff = m.Value
			}
		}
		if !near(cpu, test.cpu) || !near(eff, test.eff) {
			t.Errorf("%s: cpu-%% %v, eff-%% %v; want %v, %v", name, cpu, eff, test.cpu, test.eff)
		}
	}
	if ms := (measure.SpeedupSample{}).Metrics(2); len(ms) != 0 {
		t.Errorf("metrics %v of nothing", ms)
	}
}

// Two workers took 60 ms where one took 100 ms, in the first of two pairs.
func ExampleSpeedupSample_Metrics() {
	s := measure.SpeedupSample{
		Alone: []time.Duration{100 * time.Millisecond, 96 * time.Millisecond},
		Team:  []time.Duration{60 * time.Millisecond, 60 * time.Millisecond},
	}
	for _, m := range s.Metrics(2) {
		fmt.Printf("%.1f %s\n", m.Value, m.Unit)
	}
	// Output:
	// 60000000.0 ns/op
	// 60000000.0 max-ns
	// 81.7 eff-%
}
