package measure_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// scaling is a load that instances answer as the law says, at 1 ms alone.
func scaling(curve func(n float64) float64) *plantedLoad {
	return &plantedLoad{result: func(p load.Plan) *load.Result {
		n := float64(len(p.Addresses))
		x := curve(n)
		return served(int64(x), time.Duration(n*1000/x*float64(time.Millisecond)))
	}}
}

func TestScalingCurve(t *testing.T) {
	l := scaling(kneeAt(4, 0))
	f := fleetHere(t)
	var windows []int
	script := func(window int) (measure.Script, error) {
		windows = append(windows, window)
		return measure.Script{Scenario: fmt.Sprint(window)}, nil
	}
	c, err := measure.ScalingCurve(t.Context(), f, load.Plan{Connections: 5, Pipelining: 3}, script,
		measure.CurveOptions{Instances: []int{8, 1, 2, 4, 2}, Windows: 4, Seed: 1, Serving: measure.ServingOptions{Loader: l}})
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 8 || len(l.plans) != 16 || len(windows) != 16 || windows[15] != 15 || l.scripts[15].Scenario != "15" {
		t.Errorf("%d services, %d windows, asked for %v", f.Len(), len(l.plans), windows)
	}
	for round := range slices.Chunk(l.plans, 4) {
		var numbers []int
		for _, p := range round {
			numbers = append(numbers, len(p.Addresses))
			if p.Connections != 5*len(p.Addresses) || p.Pipelining != 3 {
				t.Errorf("%d instances have %d connections", len(p.Addresses), p.Connections)
			}
		}
		if slices.Sort(numbers); !slices.Equal(numbers, []int{1, 2, 4, 8}) {
			t.Errorf("a round measures %v", numbers)
		}
	}
	alone := map[string]bool{}
	for _, p := range l.plans {
		if len(p.Addresses) == 1 {
			alone[p.Addresses[0]] = true
		}
	}
	if len(alone) < 2 {
		t.Errorf("four times the same of 8 instances was alone")
	}
	var numbers []int
	for _, step := range c.Steps {
		numbers = append(numbers, step.Instances)
		all := step.Serving()
		if len(step.Windows) != 4 || all.Services != step.Instances || all.Result.Elapsed != 4*time.Second || all.Result.Latency.TotalCount() != 4*step.Windows[0].Result.Requests {
			t.Errorf("%d instances: %d windows, together %+v", step.Instances, len(step.Windows), all.Result)
		}
		if math.Abs(all.Throughput()-kneeAt(4, 0)(float64(step.Instances))) > 1 {
			t.Errorf("%d instances: throughput %v", step.Instances, all.Throughput())
		}
	}
	if !slices.Equal(numbers, []int{1, 2, 4, 8}) || len(c.Points()) != 16 {
		t.Errorf("steps %v, %d points", numbers, len(c.Points()))
	}
	// Response times are 1, 1+2/16, 1+12/16 and 1+56/16 ms.
	for unit, want := range map[string]float64{"eff-%": 100 * (1/1.125 + 1/1.75 + 1/4.5) / 3, "degradation-%": 100 * (1 - 1/4.5), "knee-inst": 4} {
		if v, _ := valueOf(c.Metrics(), unit); math.Abs(v-want) > want/100 {
			t.Errorf("%s is %v, want %v", unit, v, want)
		}
	}
}

func TestScalingCurveWithoutKnee(t *testing.T) {
	c, err := measure.ScalingCurve(t.Context(), fleetHere(t), load.Plan{}, again(measure.Script{}),
		measure.CurveOptions{Instances: []int{1, 2, 4}, Serving: measure.ServingOptions{Loader: scaling(law(0, 0))}})
	if err != nil {
		t.Fatal(err)
	}
	if units := unitsOf(c.Metrics()); !slices.Equal(units, []string{"eff-%", "degradation-%"}) {
		t.Errorf("metrics %v", c.Metrics())
	}
	if v, _ := valueOf(c.Metrics(), "eff-%"); v != 100 {
		t.Errorf("as fast with many as alone is %v %%", v)
	}
	alone, err := measure.ScalingCurve(t.Context(), fleetHere(t), load.Plan{}, again(measure.Script{}),
		measure.CurveOptions{Instances: []int{1}, Serving: measure.ServingOptions{Loader: scaling(law(0, 0))}})
	if err != nil || len(alone.Metrics()) > 0 {
		t.Errorf("of one step alone %v, error %v", alone, err)
	}
}

func TestScalingCurveFails(t *testing.T) {
	ok := scaling(law(0, 0))
	failed := &plantedLoad{result: func(load.Plan) *load.Result { return failing(served(10, time.Millisecond), 2) }}
	idle := &plantedLoad{result: func(load.Plan) *load.Result { return served(0, 0) }}
	ended, end := context.WithCancelCause(t.Context())
	end(errPlanted)
	for _, tt := range []struct {
		name      string
		ctx       context.Context
		instances []int
		rate      float64
		loader    *plantedLoad
		script    func(int) (measure.Script, error)
		is        func(error) bool
	}{
		{"none", t.Context(), nil, 0, ok, again(measure.Script{}), saying("one number or more")},
		{"zero", t.Context(), []int{0, 1}, 0, ok, again(measure.Script{}), saying("from 1 on")},
		{"open loop", t.Context(), []int{1}, 100, ok, again(measure.Script{}), saying("rate")},
		{"no script", t.Context(), []int{1}, 0, ok, func(int) (measure.Script, error) { return measure.Script{}, errPlanted }, func(err error) bool { return errors.Is(err, errPlanted) }},
		{"failures", t.Context(), []int{1}, 0, failed, again(measure.Script{}), func(err error) bool { return errors.As(err, new(*measure.FailedError)) }},
		{"no answer", t.Context(), []int{1}, 0, idle, again(measure.Script{}), func(err error) bool { return errors.Is(err, measure.ErrNoneAnswered) }},
		{"cancelled", ended, []int{1}, 0, ok, again(measure.Script{}), func(err error) bool { return errors.Is(err, errPlanted) }},
	} {
		c, err := measure.ScalingCurve(tt.ctx, fleetHere(t), load.Plan{Rate: tt.rate}, tt.script,
			measure.CurveOptions{Instances: tt.instances, Serving: measure.ServingOptions{Loader: tt.loader}})
		if err == nil || c != nil || !tt.is(err) {
			t.Errorf("%s: %v, error %v", tt.name, c, err)
		}
	}
}

func saying(text string) func(error) bool {
	return func(err error) bool { return strings.Contains(err.Error(), text) }
}

func TestScalingCurveNative(t *testing.T) {
	f, script := helloServers(t, 1)
	c, err := measure.ScalingCurve(t.Context(), f, brief, again(script), measure.CurveOptions{Instances: []int{1, 2, 3}, Windows: 2})
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := measure.FitUSL(c.Points())
	if err != nil || u.Lambda <= 0 || u.Largest != 3 || u.Points != 6 {
		t.Errorf("%+v, error %v", u, err)
	}
	for _, step := range c.Steps {
		if s := step.Serving(); s.Throughput() <= 0 || s.CPU <= 0 {
			t.Errorf("%d instances: %v", step.Instances, s.Metrics())
		}
	}
}
