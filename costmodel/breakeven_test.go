package costmodel_test

import (
	"errors"
	"math"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// The break-even is where a scan over many demands finds the last at which the
// first option costs more.
func TestBreakEven(t *testing.T) {
	r := seeded(t)
	const month = costmodel.MeanMonth
	year := func(o costmodel.Option, d costmodel.Demand, perDay float64) float64 {
		d.RequestsPerDay = perDay
		b, err := costmodel.MonthlyCost(o.Service, d, month)
		if err != nil {
			t.Fatal(err)
		}
		total, err := o.TCO.WithBill(b).Total()
		if err != nil {
			t.Fatal(err)
		}
		return total.Value
	}
	kinds := map[string]int{}
	for range 200 {
		var o [2]costmodel.Option
		var d costmodel.Demand
		for i := range o {
			o[i].Service, d = random(r, false)
		}
		d.Instances = 50 * r.IntN(2)
		upTo := 1e7 * r.Float64()
		if r.IntN(2) == 0 {
			// The same with requests that take less and instances that do more.
			o[0] = o[1]
			o[0].Service.Capacity.CPUPerRequest = costmodel.Exactly(o[1].Service.Capacity.CPUPerRequest.Value / 5)
			o[0].Service.Capacity.Requests = costmodel.Exactly(o[1].Service.Capacity.Requests.Value * 5)
		}
		o[0].TCO.Development = 0.5 * r.Float64() * year(o[1], d, upTo)
		got, err := costmodel.BreakEven(o[0], o[1], d, upTo, month)
		more := func(perDay float64) bool {
			a, b := year(o[0], d, perDay), year(o[1], d, perDay)
			return a > b*(1+1e-6)
		}
		less := func(perDay float64) bool { return year(o[0], d, perDay)*(1+1e-6) < year(o[1], d, perDay) }
		switch {
		case errors.As(err, new(*costmodel.NoBreakEvenError)):
			kinds["none"]++
			if less(upTo) {
				t.Errorf("none, but it is cheaper at the end: %+v", o)
			}
			continue
		case errors.Is(err, costmodel.ErrInput):
			kinds["too many steps"]++
			continue
		case err != nil:
			t.Fatal(err)
		case got.Value == 0:
			kinds["always"]++
		default:
			kinds["somewhere"]++
			if just := got.Value * (1 - 1e-6); less(just) {
				t.Errorf("from %v on, and cheaper just below too: %+v", got, o)
			}
		}
		if got.Low != got.Value || got.High != got.Value {
			t.Errorf("exact inputs give %+v", got)
		}
		for i := range 200 {
			if at := got.Value + (upTo-got.Value)*(float64(i)+r.Float64())/200; at > got.Value*(1+1e-6)+1e-3 && more(at) {
				t.Errorf("from %v on, but dearer at %v: %+v", got.Value, at, o)
				break
			}
		}
	}
	if kinds["too many steps"] > 20 || kinds["none"] == 0 || kinds["always"] == 0 || kinds["somewhere"] < 10 {
		t.Errorf("what was met: %v", kinds)
	}
	t.Log(kinds)
}

// By hand: a host costs 0.04 USD an hour, 345.6 a year of 360 days, and carries 500
// requests a second of the one service and 100 of the other. 1000 USD of development
// more are paid back by three hosts less and not by two: above 300 requests
// a second it takes 1 and the other 4.
func TestBreakEvenByHand(t *testing.T) {
	dear := costmodel.Option{Service: service(nil), TCO: costmodel.TCO{Development: 2000}}
	cheap := costmodel.Option{Service: service(func(s *costmodel.Service) { s.Capacity.CPUPerRequest = costmodel.Exactly(0.02) }), TCO: costmodel.TCO{Development: 1000}}
	got, err := costmodel.BreakEven(dear, cheap, costmodel.Demand{}, perSecond(2000).RequestsPerDay, costmodel.ArticleMonth)
	if err != nil {
		t.Fatal(err)
	}
	if want := perSecond(300).RequestsPerDay; math.Abs(got.Value-want) > 1 {
		t.Errorf("from %+v on, want %v", got, want)
	}
	dear.Service.Capacity.CPUPerRequest = costmodel.Range{Value: 0.004, Low: 0.004, High: 0.03}
	if got, err = costmodel.BreakEven(dear, cheap, costmodel.Demand{}, perSecond(2000).RequestsPerDay, costmodel.ArticleMonth); err != nil || !math.IsInf(got.High, 1) {
		t.Errorf("an option that may be the worse one pays back in %+v, %v", got, err)
	}
	_, err = costmodel.BreakEven(dear, cheap, costmodel.Demand{}, perSecond(200).RequestsPerDay, costmodel.ArticleMonth)
	var none *costmodel.NoBreakEvenError
	if !errors.As(err, &none) || none.DearYear <= none.CheapYear {
		t.Errorf("a demand that is too small: %v", err)
	}
	for _, upTo := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := costmodel.BreakEven(dear, cheap, costmodel.Demand{}, upTo, costmodel.ArticleMonth); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("up to %v: %v", upTo, err)
		}
	}
	if _, err := costmodel.BreakEven(dear, cheap, costmodel.Demand{}, 1e12, costmodel.ArticleMonth); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("too many steps: %v", err)
	}
}

// On one host each instance keeps 0.2 vCPU busy that nothing covers, 86.4 USD a year, more
// than the 49 of people between them: the option whose instances answer 100 requests a second, the
// other's 75, is the cheaper one where it has an instance less. Above 225 it always has, and from 200 to 225
// as many, so that the last crossing is between two numbers of instances, not of hosts.
func TestBreakEvenSeesInstances(t *testing.T) {
	busy := func(answers float64) costmodel.Service {
		return service(func(s *costmodel.Service) {
			s.Host.Baseline, s.Host.SurplusUSD = 0.05, 0.05
			s.Capacity = costmodel.Capacity{Requests: costmodel.Exactly(answers), CPUPerRequest: costmodel.Exactly(1e-9), Cores: costmodel.Exactly(0.2), Memory: costmodel.Exactly(mib)}
		})
	}
	dear := costmodel.Option{Service: busy(100), TCO: costmodel.TCO{Development: 50}}
	cheap := costmodel.Option{Service: busy(75), TCO: costmodel.TCO{Development: 1}}
	got, err := costmodel.BreakEven(dear, cheap, costmodel.Demand{}, perSecond(390).RequestsPerDay, costmodel.ArticleMonth)
	if err != nil {
		t.Fatal(err)
	}
	if want := perSecond(225).RequestsPerDay; math.Abs(got.Value-want) > 1 {
		t.Errorf("from %+v on, want %v", got, want)
	}
}

// The interval of a break-even holds that of whatever lies in the intervals of the inputs.
func TestBreakEvenIntervals(t *testing.T) {
	r := seeded(t)
	const month = costmodel.MeanMonth
	held := 0
	for range 300 {
		cheap, d := random(r, true)
		dear := cheap
		dear.Capacity.CPUPerRequest, dear.Capacity.Requests = cheap.Capacity.CPUPerRequest.Scale(0.2), cheap.Capacity.Requests.Scale(5)
		d.Instances = 0
		upTo := 1e7 * r.Float64()
		o := [2]costmodel.Option{{Service: dear, TCO: costmodel.TCO{Development: 500 * r.Float64()}}, {Service: cheap}}
		all, err := costmodel.BreakEven(o[0], o[1], d, upTo, month)
		if err != nil {
			continue // it does not pay back, does not fit, or has too many steps
		}
		if all.Low > all.Value || all.Value > all.High {
			t.Errorf("%+v", all)
		}
		pick := func(v costmodel.Range) costmodel.Range { return costmodel.Exactly(v.Low + (v.High-v.Low)*r.Float64()) }
		for i := range o {
			c := &o[i].Service.Capacity
			*c = costmodel.Capacity{Requests: pick(c.Requests), CPUPerRequest: pick(c.CPUPerRequest), Cores: pick(c.Cores), Memory: pick(c.Memory), Base: pick(c.Base)}
		}
		one, err := costmodel.BreakEven(o[0], o[1], d, upTo, month)
		switch {
		case errors.As(err, new(*costmodel.NoBreakEvenError)) && math.IsInf(all.High, 1):
		case errors.Is(err, costmodel.ErrInput):
			continue
		case err != nil || one.Value < all.Low*(1-1e-6) || one.Value > all.High*(1+1e-6):
			t.Errorf("%v, %v is outside of %+v: %+v", one, err, all, o)
		}
		held++
	}
	if held < 50 {
		t.Errorf("%d were compared", held)
	}
}
