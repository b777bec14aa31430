package measure_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// sustainedBy is a load of 1000 requests a second that so many instances and more
// sustain; fewer do what falls says.
func sustainedBy(n int, falls func() *load.Result) *plantedLoad {
	return &plantedLoad{result: func(p load.Plan) *load.Result {
		if len(p.Addresses) < n {
			return falls()
		}
		return offered(1000, 1000, time.Millisecond)
	}, within: func() {
		for begin := time.Now(); time.Since(begin) < time.Millisecond; { // takes a core
		}
	}}
}

func short() *load.Result { return offered(1000, 980, time.Millisecond) }
func slow() *load.Result  { return offered(1000, 1000, 60*time.Millisecond) }
func worn() *load.Result  { return failing(offered(1000, 999, time.Millisecond), 1) }
func mute() *load.Result { // answers all, after the end
	r := late(offered(1000, 1000, 60*time.Millisecond), 1000)
	r.Completed, r.Backlog = 0, 1000
	return r
}

func TestNeeded(t *testing.T) {
	tests := []struct {
		name  string
		from  int // of instances that sustain it
		most  int
		falls func() *load.Result
		tried []int
	}{
		{"one does", 1, 8, short, []int{1}},
		{"two", 2, 8, slow, []int{1, 1, 2}},
		{"three", 3, 8, worn, []int{1, 1, 2, 2, 4, 3}},
		{"five", 5, 8, short, []int{1, 1, 2, 2, 4, 4, 8, 6, 5}},
		{"seven, which is the most", 7, 7, short, []int{1, 1, 2, 2, 4, 4, 7, 5, 5, 6, 6}},
		{"two, alone none is answered", 2, 8, mute, []int{1, 1, 2}},
		{"three, one too many tried", 3, 3, slow, []int{1, 1, 2, 2, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := sustainedBy(tt.from, tt.falls)
			var windows []int
			script := func(window int) (measure.Script, error) {
				windows = append(windows, window)
				return measure.Script{}, nil
			}
			n, err := measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000, Connections: 3}, script,
				measure.NeedOptions{P99: 50 * time.Millisecond, Most: tt.most, Serving: measure.ServingOptions{Loader: l}})
			if err != nil {
				t.Fatal(err)
			}
			var tried []int
			for i, p := range l.plans {
				tried = append(tried, len(p.Addresses))
				if windows[i] != i || p.Rate != 1000 {
					t.Errorf("window %d is called %d, at %v a second", i, windows[i], p.Rate)
				}
				if more := p.Connections - 3; more < 0 || more >= len(p.Addresses) || p.Connections%len(p.Addresses) != 0 {
					t.Errorf("%d instances have %d connections", len(p.Addresses), p.Connections)
				}
				if trial := n.Tried[i]; trial.Instances != len(p.Addresses) || (trial.Err == nil) != (trial.Instances >= tt.from) || trial.Serving.Services != trial.Instances {
					t.Errorf("window %d of %d instances is told as %+v", i, len(p.Addresses), trial)
				}
			}
			if len(n.Tried) != len(tried) || !slices.Equal(tried, tt.tried) || n.Instances != tt.from || n.Serving.Services != tt.from {
				t.Errorf("tried %v, want %v; %d instances, measured on %d", tried, tt.tried, n.Instances, n.Serving.Services)
			}
			for _, unit := range []string{"cores", "pss-B", "p99-ns", "achieved-%"} {
				if v, _ := valueOf(n.Metrics(), unit); v <= 0 {
					t.Errorf("no %s in %v", unit, n.Metrics())
				}
			}
			if v, _ := valueOf(n.Metrics(), "inst"); v != float64(tt.from) {
				t.Errorf("inst is %v", v)
			}
		})
	}
}

// One window that goes wrong is the host's, two of three are the instances'.
func TestNeededHiccups(t *testing.T) {
	for name, tt := range map[string]struct {
		wrong []int // windows in which the rate is not sustained
		tried []int
	}{
		"one":           {[]int{0}, []int{1, 1, 1}},
		"two in turn":   {[]int{0, 1}, []int{1, 1, 2}},
		"two of three":  {[]int{0, 2}, []int{1, 1, 1, 2}},
		"one later too": {[]int{0, 1, 2}, []int{1, 1, 2, 2, 2}},
	} {
		l := &plantedLoad{}
		l.result = func(load.Plan) *load.Result {
			if slices.Contains(tt.wrong, len(l.plans)-1) {
				return slow()
			}
			return offered(1000, 1000, time.Millisecond)
		}
		n, err := measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000}, again(measure.Script{}),
			measure.NeedOptions{P99: 50 * time.Millisecond, Most: 8, Serving: measure.ServingOptions{Loader: l}})
		if err != nil {
			t.Fatal(err)
		}
		var tried []int
		for i, trial := range n.Tried {
			tried = append(tried, trial.Instances)
			if wrong := slices.Contains(tt.wrong, i); (trial.Err != nil) != wrong || wrong && !saying("the limit is 50ms")(trial.Err) {
				t.Errorf("%s: window %d: %v", name, i, trial.Err)
			}
		}
		if last := tried[len(tried)-1]; !slices.Equal(tried, tt.tried) || n.Instances != last || n.Serving != n.Tried[len(tried)-1].Serving {
			t.Errorf("%s: tried %v, want %v; %d instances", name, tried, tt.tried, n.Instances)
		}
	}
}

// Nobody waits for long for requests that are too late anyway.
func TestNeededTimeout(t *testing.T) {
	for _, tt := range []struct{ p99, has, want time.Duration }{
		{50 * ms, 0, 2 * time.Second},
		{50 * ms, time.Minute, 2 * time.Second},
		{50 * ms, time.Second, time.Second},
		{time.Second, time.Minute, 10 * time.Second},
	} {
		l := sustainedBy(1, short)
		_, err := measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000, Timeout: tt.has}, again(measure.Script{}),
			measure.NeedOptions{P99: tt.p99, Most: 1, Serving: measure.ServingOptions{Loader: l}})
		if err != nil || l.plans[0].Timeout != tt.want {
			t.Errorf("limit %v, timeout %v: it is %v, error %v", tt.p99, tt.has, l.plans[0].Timeout, err)
		}
	}
}

// What a generator is late by is not the services' doing: such a window is made again,
// and where there is no other it is the generator that the error names.
func TestNeededGeneratorLate(t *testing.T) {
	good := func() *load.Result { return offered(1000, 1000, time.Millisecond) }
	late := func() *load.Result { // by a quarter of the limit, at p99
		return lagging(served(1000, 60*ms), 20, 13*ms, 0)
	}
	tests := []struct {
		name      string
		windows   []*load.Result // all others are good
		instances int            // that are found; 0 for an error
		undecided []int
	}{
		{"late and fast enough", []*load.Result{lagging(good(), 20, 40*ms, 40*ms)}, 1, nil},
		{"late and slow", []*load.Result{late()}, 1, []int{0}},
		{"an answer lay there", []*load.Result{lagging(slow(), 20, 0, 13*ms)}, 1, []int{0}},
		{"late and short", []*load.Result{lagging(short(), 20, 13*ms, 0)}, 1, []int{0}},
		{"late at the end", []*load.Result{lagging(short(), 1, 21*ms, 0)}, 1, []int{0}}, // 20 ms of requests lack
		{"late and mute", []*load.Result{lagging(mute(), 20, time.Second, 0)}, 1, []int{0}},
		{"twice", []*load.Result{late(), late()}, 1, []int{0, 1}},
		{"twice of four, the others are slow", []*load.Result{late(), slow(), late(), slow()}, 2, []int{0, 2}},
		{"twice with each number", []*load.Result{late(), late(), slow(), slow(), late(), late()}, 2, []int{0, 1, 4, 5}},
		{"again and again", []*load.Result{late(), late(), late()}, 0, []int{0, 1, 2}},
		{"again and again with two", []*load.Result{slow(), slow(), late(), slow(), late(), late()}, 0, []int{2, 4, 5}},
		// These are the services' doing.
		{"slow, and late by less", []*load.Result{lagging(slow(), 20, 12*ms, 12*ms), lagging(slow(), 20, 12*ms, 12*ms)}, 2, nil},
		{"short, and late by less", []*load.Result{lagging(short(), 1, 19*ms, 0), lagging(short(), 1, 19*ms, 0)}, 2, nil},
		{"failed, and late", []*load.Result{lagging(worn(), 20, time.Second, 0), lagging(worn(), 20, time.Second, 0)}, 2, nil},
	}
	for _, tt := range tests {
		l := &plantedLoad{}
		l.result = func(load.Plan) *load.Result {
			if i := len(l.plans) - 1; i < len(tt.windows) {
				r := tt.windows[i]
				r.Offered = 1000
				return r
			}
			return good()
		}
		n, err := measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000}, again(measure.Script{}),
			measure.NeedOptions{P99: 50 * ms, Most: 8, Serving: measure.ServingOptions{Loader: l}})
		var not *measure.UndecidedError
		if tt.instances == 0 {
			if n != nil || !errors.As(err, &not) || errors.As(err, new(*measure.NotSustainedError)) || not.Rate != 1000 || len(not.Tried) != len(tt.windows) ||
				not.Instances != not.Tried[len(not.Tried)-1].Instances || !saying("the load generator was late itself in 3 windows")(err) {
				t.Errorf("%s: %+v, error %v", tt.name, n, err)
				continue
			}
			n = &measure.Need{Tried: not.Tried}
		} else if err != nil || n.Instances != tt.instances {
			t.Errorf("%s: %+v, want %d instances; error %v", tt.name, n, tt.instances, err)
			continue
		}
		for i, trial := range n.Tried {
			undecided := slices.Contains(tt.undecided, i)
			if trial.Undecided != undecided || undecided && !(saying("lag-p99")(trial.Err) && saying("wait-p99")(trial.Err)) {
				t.Errorf("%s: window %d is undecided: %v, %v", tt.name, i, trial.Undecided, trial.Err)
			}
		}
	}
}

func TestNotSustained(t *testing.T) {
	for name, tt := range map[string]struct {
		falls func() *load.Result
		says  string
	}{
		"short":    {short, "3 instances do not sustain 1000 requests a second: 98.0 % of the rate"},
		"slow":     {slow, "where the limit is 50ms"},
		"failures": {worn, "1 of 1000 requests failed"},
		"silent":   {mute, "no request was answered within the window"},
	} {
		l := sustainedBy(100, tt.falls)
		n, err := measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000}, again(measure.Script{}),
			measure.NeedOptions{P99: 50 * time.Millisecond, Most: 3, Serving: measure.ServingOptions{Loader: l}})
		var not *measure.NotSustainedError
		if n != nil || !errors.As(err, &not) || not.Instances != 3 || not.Rate != 1000 || not.Serving.Services != 3 || len(not.Tried) != 6 || !saying(tt.says)(err) {
			t.Errorf("%s: %+v, error %v", name, n, err)
		}
		if errors.As(err, new(*measure.FailedError)) != (name == "failures") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNeededFails(t *testing.T) {
	ended, end := context.WithCancelCause(t.Context())
	end(errPlanted)
	tests := []struct {
		name   string
		ctx    context.Context
		rate   float64
		limit  time.Duration
		most   int
		result *load.Result
		is     func(error) bool
	}{
		{"no rate", t.Context(), 0, time.Second, 1, short(), saying("the plan has none")},
		{"no limit", t.Context(), 1, 0, 1, short(), saying("no limit")},
		{"no instance", t.Context(), 1, time.Second, 0, short(), saying("at most 0")},
		{"too few to tell", t.Context(), 1, time.Second, 1, offered(400, 400, time.Millisecond), saying("400 requests do not tell")},
		{"cancelled", ended, 1, time.Second, 1, short(), func(err error) bool { return errors.Is(err, errPlanted) }},
	}
	for _, tt := range tests {
		l := &plantedLoad{result: func(load.Plan) *load.Result { return tt.result }}
		n, err := measure.Needed(tt.ctx, fleetHere(t), load.Plan{Rate: tt.rate}, again(measure.Script{}),
			measure.NeedOptions{P99: tt.limit, Most: tt.most, Serving: measure.ServingOptions{Loader: l}})
		if err == nil || n != nil || !tt.is(err) || errors.As(err, new(*measure.NotSustainedError)) {
			t.Errorf("%s: %v, error %v", tt.name, n, err)
		}
	}
}

func TestNeededNative(t *testing.T) {
	f, script := helloServers(t, 1)
	plan := brief
	plan.Rate, plan.Duration = 1500, time.Second
	n, err := measure.Needed(t.Context(), f, plan, again(script), measure.NeedOptions{P99: 5 * time.Second, Most: 2})
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Log(n.Metrics())
	if cores, _ := valueOf(n.Metrics(), "cores"); f.Len() != n.Instances || cores <= 0 || cores > 100 {
		t.Errorf("%d instances are there, %v", f.Len(), n.Metrics())
	}
}
