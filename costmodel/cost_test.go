package costmodel_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// random makes a service and a demand, with intervals or without.
func random(r *rand.Rand, intervals bool) (costmodel.Service, costmodel.Demand) {
	about := func(v float64) costmodel.Range {
		if !intervals {
			return costmodel.Exactly(v)
		}
		return costmodel.Range{Value: v, Low: v * (0.5 + r.Float64()/2), High: v * (1 + r.Float64()/2)}
	}
	// spread gives values over several orders of magnitude.
	spread := func(low, high float64) float64 { return low * math.Pow(high/low, r.Float64()) }
	s := costmodel.Service{
		Name: "random", Host: costmodel.ArticleCatalogue()[r.IntN(2)],
		Speed: spread(0.5, 2), Headroom: 0.5 * r.Float64() * float64(r.IntN(2)),
		Capacity: costmodel.Capacity{
			Requests:      about(spread(1, 1e5)),
			CPUPerRequest: about(spread(1e-6, 1)),
			Cores:         about(0.05 * r.Float64()),
			Memory:        about(spread(1e4, 3e8)),
			Base:          about(spread(1e6, 2e8)),
		},
	}
	if r.IntN(5) == 0 {
		s.PerHost = 1 + r.IntN(200)
	}
	if r.IntN(3) == 0 {
		s.Capacity.Cores = costmodel.Range{}
	}
	switch r.IntN(4) {
	case 0:
		s.Host.Baseline, s.Host.SurplusUSD = 0, 0
	case 1: // a host costs less than what it covers
		s.Host.USDPerHour *= 0.3 + 0.7*r.Float64()
	}
	d := costmodel.Demand{RequestsPerDay: spread(1, 1e9), Peak: 1 + 5*r.Float64(), Instances: r.IntN(2000) * r.IntN(2)}
	return s, d
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 8))
}

// What rounding is allowed to change.
const alittle = 1e-9

func TestCostIsMonotone(t *testing.T) {
	r := seeded(t)
	more := func(v costmodel.Range) costmodel.Range { return v.Scale(1 + r.Float64()) }
	dearer := map[string]func(*costmodel.Service, *costmodel.Demand){
		"demand":    func(_ *costmodel.Service, d *costmodel.Demand) { d.RequestsPerDay *= 1 + r.Float64() },
		"peak":      func(_ *costmodel.Service, d *costmodel.Demand) { d.Peak *= 1 + r.Float64() },
		"instances": func(_ *costmodel.Service, d *costmodel.Demand) { d.Instances += 1 + r.IntN(100) },
		"memory":    func(s *costmodel.Service, _ *costmodel.Demand) { s.Capacity.Memory = more(s.Capacity.Memory) },
		"base":      func(s *costmodel.Service, _ *costmodel.Demand) { s.Capacity.Base = more(s.Capacity.Base) },
		"cpu": func(s *costmodel.Service, _ *costmodel.Demand) {
			s.Capacity.CPUPerRequest = more(s.Capacity.CPUPerRequest)
		},
		"cores":    func(s *costmodel.Service, _ *costmodel.Demand) { s.Capacity.Cores = more(s.Capacity.Cores) },
		"price":    func(s *costmodel.Service, _ *costmodel.Demand) { s.Host.USDPerHour *= 1 + r.Float64() },
		"headroom": func(s *costmodel.Service, _ *costmodel.Demand) { s.Headroom += 0.3 * r.Float64() },
		"less capacity": func(s *costmodel.Service, _ *costmodel.Demand) {
			s.Capacity.Requests = s.Capacity.Requests.Scale(1 / (1 + r.Float64()))
		},
		"all of a capacity": func(s *costmodel.Service, _ *costmodel.Demand) {
			c := &s.Capacity
			c.Requests, c.CPUPerRequest, c.Memory, c.Cores = c.Requests.Scale(1/(1+r.Float64())), more(c.CPUPerRequest), more(c.Memory), more(c.Cores)
		},
		"a wider interval": func(s *costmodel.Service, _ *costmodel.Demand) {
			s.Capacity.Memory.High *= 1 + r.Float64()
			s.Capacity.CPUPerRequest.High *= 1 + r.Float64()
		},
		"fewer vCPUs": func(s *costmodel.Service, _ *costmodel.Demand) { s.Host.VCPU /= 1 + r.Float64() },
		"fewer on a host": func(s *costmodel.Service, _ *costmodel.Demand) {
			if s.PerHost > 1 {
				s.PerHost -= r.IntN(s.PerHost)
			}
		},
		"less covered": func(s *costmodel.Service, _ *costmodel.Demand) { s.Host.Baseline /= 1 + r.Float64() },
		"dearer surplus": func(s *costmodel.Service, _ *costmodel.Demand) {
			s.Host.SurplusUSD *= 1 + 3*r.Float64()
		},
		"slower":      func(s *costmodel.Service, _ *costmodel.Demand) { s.Speed /= 1 + r.Float64() },
		"less memory": func(s *costmodel.Service, _ *costmodel.Demand) { s.Host.MemoryGiB /= 1 + r.Float64()/2 },
	}
	compared := map[string]int{}
	for range 3000 {
		s, d := random(r, r.IntN(2) == 0)
		if r.IntN(2) == 0 { // near a step of the hosts
			d.RequestsPerDay = float64(1+r.IntN(50)) * s.Host.VCPU * s.Speed * (1 - s.Headroom) / s.Capacity.CPUPerRequest.Value * 86400 / d.Peak * (1 + 2e-6*(r.Float64()-0.5))
		}
		before, err := costmodel.MonthlyCost(s, d, costmodel.ArticleMonth)
		if errors.As(err, new(*costmodel.UnfitError)) {
			continue
		}
		if err != nil {
			t.Fatalf("%+v, %+v: %v", s, d, err)
		}
		for what, change := range dearer {
			s, d := s, d
			change(&s, &d)
			after, err := costmodel.MonthlyCost(s, d, costmodel.ArticleMonth)
			if errors.As(err, new(*costmodel.UnfitError)) {
				continue // no host is enough: dearer than anything
			}
			if err != nil {
				t.Fatalf("%s: %+v, %+v: %v", what, s, d, err)
			}
			a, b := after.USD, before.USD
			cheaper := a.Value < b.Value*(1-alittle) || a.Low < b.Low*(1-alittle) || a.High < b.High*(1-alittle)
			// Hosts that are dearer, or cover less, are not always more.
			if cheaper || what != "price" && what != "less covered" && what != "fewer vCPUs" && after.Fleet.Hosts.Value < before.Fleet.Hosts.Value {
				t.Errorf("%s: %d hosts for %v USD, before %d for %v: %+v, %+v", what, after.Fleet.Hosts.Value, after.USD.Value, before.Fleet.Hosts.Value, before.USD.Value, s, d)
			}
			compared[what]++
		}
	}
	for what := range dearer {
		if compared[what] < 1000 {
			t.Errorf("%s: %d comparisons", what, compared[what])
		}
	}
}

// The interval of a cost holds the cost of whatever lies in the intervals of the inputs.
func TestIntervalsHold(t *testing.T) {
	r := seeded(t)
	bounds := map[costmodel.Bound]int{}
	for range 3000 {
		s, d := random(r, true)
		all, err := costmodel.MonthlyCost(s, d, costmodel.MeanMonth)
		if errors.As(err, new(*costmodel.UnfitError)) {
			continue
		}
		if err != nil {
			t.Fatalf("%+v, %+v: %v", s, d, err)
		}
		for what, of := range map[string]costmodel.Range{"USD": all.USD, "hosts": all.Hosts, "surplus": all.Surplus, "a million": all.PerMillion, "vCPUs": all.Fleet.MeanCores} {
			if of.Low > of.Value || of.Value > of.High {
				t.Errorf("%s: %+v", what, of)
			}
		}
		bounds[all.Fleet.Bound]++
		pick := func(v costmodel.Range) costmodel.Range {
			return costmodel.Exactly(v.Low + (v.High-v.Low)*r.Float64())
		}
		c := s.Capacity
		one := s
		one.Capacity = costmodel.Capacity{Requests: pick(c.Requests), CPUPerRequest: pick(c.CPUPerRequest), Cores: pick(c.Cores), Memory: pick(c.Memory), Base: pick(c.Base)}
		got, err := costmodel.MonthlyCost(one, d, costmodel.MeanMonth)
		if err != nil {
			t.Fatal(err)
		}
		h := all.Fleet.Hosts
		if u := got.USD.Value; u < all.USD.Low*(1-alittle) || u > all.USD.High*(1+alittle) || got.Fleet.Hosts.Value < h.Low || got.Fleet.Hosts.Value > h.High {
			t.Errorf("%d hosts for %v USD are outside of %+v, %+v", got.Fleet.Hosts.Value, u, h, all.USD)
		}
		if v, in := got.Surplus.Value, all.Surplus; v < in.Low-alittle*in.High || v > in.High*(1+alittle) {
			t.Errorf("a surplus of %v is outside of %+v", v, in)
		}
		if v, in := got.Fleet.MeanCores.Value, all.Fleet.MeanCores; v < in.Low*(1-alittle) || v > in.High*(1+alittle) {
			t.Errorf("%v busy vCPUs are outside of %+v", v, in)
		}
	}
	if len(bounds) != 3 {
		t.Errorf("bounds that were met: %v", bounds)
	}
}

// Hosts are whole and paid whole, and surplus comes on top.
func TestHostsArePaidWhole(t *testing.T) {
	r := seeded(t)
	surplus := 0
	for range 1000 {
		s, d := random(r, false)
		b, err := costmodel.MonthlyCost(s, d, costmodel.ArticleMonth)
		if err != nil {
			t.Fatal(err)
		}
		if b.Fleet.Hosts.Value < 1 || b.Fleet.Instances < 1 {
			t.Fatalf("%+v", b.Fleet)
		}
		want := float64(b.Fleet.Hosts.Value)*s.Host.USDPerHour*720 + b.Surplus.Value
		if math.Abs(b.USD.Value-want) > alittle*want || b.Surplus.Value < 0 {
			t.Errorf("%+v, want %v", b, want)
		}
		if b.Surplus.Value > 0 {
			surplus++
		}
		millions := d.RequestsPerDay * 30 / 1e6
		if math.Abs(b.PerMillion.Value*millions-b.USD.Value) > alittle*b.USD.Value {
			t.Errorf("%v USD a million, %v in all", b.PerMillion.Value, b.USD.Value)
		}
	}
	if surplus == 0 {
		t.Error("no surplus was met")
	}
}

// 200 requests a second of 4 ms keep 0.8 vCPU busy. A t3.medium covers 0.4, so 0.4 are paid
// for 720 hours.
func TestSurplus(t *testing.T) {
	s := service(func(s *costmodel.Service) { s.Host = costmodel.ArticleCatalogue()[0] })
	b, err := costmodel.MonthlyCost(s, perSecond(200), costmodel.ArticleMonth)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(b.Surplus.Value-0.4*0.05*720) > 1e-9 || math.Abs(b.Hosts.Value-0.0416*720) > 1e-9 || math.Abs(b.Fleet.MeanCores.Value-0.8) > 1e-9 {
		t.Errorf("%+v", b)
	}
	// Half as fast they keep 1.6 of them busy.
	s.Speed = 0.5
	if b, err = costmodel.MonthlyCost(s, perSecond(200), costmodel.ArticleMonth); err != nil || math.Abs(b.Surplus.Value-1.2*0.05*720) > 1e-9 {
		t.Errorf("%+v, %v", b, err)
	}
}

// A host at half the price, 0.0104 USD an hour, covers 0.4 vCPU, which beyond cost 0.02: so many
// are rented that another would cover less than it costs.
func TestHostsThatCoverMoreThanTheyCost(t *testing.T) {
	for _, tt := range []struct {
		rate  float64 // each request keeps 0.004 vCPU seconds busy
		hosts int
		cores float64 // beyond
	}{
		{100, 1, 0},   // 0.4 busy
		{150, 1, 0.2}, // 0.6: 0.2 beyond cost 0.01 an hour
		{153, 2, 0},   // 0.612: 0.212 would cost 0.0106
		{250, 2, 0.2}, // 1
		{450, 4, 0.2}, // 1.8, one host's processors would do
	} {
		s := service(func(s *costmodel.Service) { s.Host = costmodel.ArticleCatalogue()[1]; s.Host.USDPerHour /= 2 })
		b, err := costmodel.MonthlyCost(s, perSecond(tt.rate), costmodel.ArticleMonth)
		want := 720 * (float64(tt.hosts)*0.0104 + 0.05*tt.cores)
		if err != nil || b.Fleet.Hosts.Value != tt.hosts || math.Abs(b.USD.Value-want) > 1e-9 || b.Fleet.Bound != costmodel.BoundCPU {
			t.Errorf("%v requests a second: %+v, %v, want %d hosts and %v USD", tt.rate, b, err, tt.hosts, want)
		}
	}
}

// An instance is measured to answer 10,000 requests a second, but the two processors of a
// small host have time for 850 of it beside itself: eight thousand take ten such hosts, and ten
// instances that keep 0.3 vCPU busy each.
func TestIdleProcessorsOnSmallHosts(t *testing.T) {
	s := service(func(s *costmodel.Service) {
		s.Host = costmodel.ArticleCatalogue()[1]
		s.Capacity = costmodel.Capacity{Requests: costmodel.Exactly(1e4), CPUPerRequest: costmodel.Exactly(0.002), Cores: costmodel.Exactly(0.3), Memory: costmodel.Exactly(64 * mib)}
	})
	d := perSecond(850)
	d.Peak = 10
	b, err := costmodel.MonthlyCost(s, d, costmodel.ArticleMonth)
	if err != nil || b.Fleet.Hosts.Value != 10 || math.Abs(b.Fleet.MeanCores.Value-4.7) > 1e-9 || math.Abs(b.Surplus.Value-0.7*0.05*720) > 1e-9 {
		t.Errorf("%+v, %v", b, err)
	}
}

// What is favourable to the hosts is not to what they leave beyond.
func TestSurplusIntervalHoldsIt(t *testing.T) {
	s := service(func(s *costmodel.Service) {
		s.Host, s.Capacity.Memory = costmodel.ArticleCatalogue()[0], costmodel.Range{Value: 256 * mib, Low: 256 * mib, High: 3072 * mib}
	})
	b, err := costmodel.MonthlyCost(s, perSecond(200), costmodel.ArticleMonth)
	if want := 0.4 * 0.05 * 720; err != nil || b.Fleet.Hosts.High != 2 || b.Surplus.Low != 0 || math.Abs(b.Surplus.Value-want) > 1e-9 || math.Abs(b.Surplus.High-want) > 1e-9 {
		t.Errorf("%+v, %v", b, err)
	}
}

// What instances keep busy is of whole instances, asked or held.
func TestIdleProcessorsArePaid(t *testing.T) {
	busy := func(s *costmodel.Service) {
		s.Host, s.Capacity.Cores = costmodel.ArticleCatalogue()[0], costmodel.Exactly(1)
		s.Capacity.CPUPerRequest = costmodel.Exactly(1e-12)
	}
	held, err := costmodel.MonthlyCost(service(busy), costmodel.Demand{Instances: 1}, costmodel.ArticleMonth)
	if err != nil {
		t.Fatal(err)
	}
	// A t3.medium covers 0.4 of it.
	if want := 0.6 * 0.05 * 720; math.Abs(held.Surplus.Value-want) > 1e-9 {
		t.Errorf("an instance that is held: %+v, want %v of surplus", held, want)
	}
	for _, tt := range []struct {
		demand costmodel.Demand
		cores  float64
	}{
		{perSecond(1), 1},   // one answers 100
		{perSecond(101), 2}, // the second is as busy as the first
		{costmodel.Demand{RequestsPerDay: 86400, Peak: 101}, 2}, // and all day
		{costmodel.Demand{RequestsPerDay: 86400, Instances: 3}, 3},
	} {
		b, err := costmodel.MonthlyCost(service(busy), tt.demand, costmodel.ArticleMonth)
		if err != nil || math.Abs(b.Fleet.MeanCores.Value-tt.cores) > 1e-6 {
			t.Errorf("%+v: %+v, %v, want %v vCPU busy", tt.demand, b.Fleet, err, tt.cores)
		}
	}
}

func TestSavings(t *testing.T) {
	usd, percent, err := costmodel.Savings(costmodel.Range{Value: 100, Low: 80, High: 120}, costmodel.Range{Value: 40, Low: 20, High: 90})
	if err != nil {
		t.Fatal(err)
	}
	if want := (costmodel.Range{Value: 60, Low: -10, High: 100}); usd != want {
		t.Errorf("%+v, want %+v", usd, want)
	}
	if want := (costmodel.Range{Value: 60, Low: -12.5, High: 100 * (1 - 1./6)}); math.Abs(percent.Value-want.Value) > 1e-9 || math.Abs(percent.Low-want.Low) > 1e-9 || math.Abs(percent.High-want.High) > 1e-9 {
		t.Errorf("%+v, want %+v", percent, want)
	}
	for _, from := range []costmodel.Range{{}, {Value: -1}, {Value: math.NaN()}, {Value: 5, Low: 0, High: 6}} {
		if _, _, err := costmodel.Savings(from, costmodel.Exactly(1)); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("from %v: %v", from, err)
		}
	}
}

func TestTotal(t *testing.T) {
	b, err := costmodel.MonthlyCost(costmodel.ArticleContainer(), costmodel.Demand{Instances: 1000}, costmodel.ArticleMonth)
	if err != nil {
		t.Fatal(err)
	}
	tco := costmodel.ArticleContainerTCO().WithBill(b)
	total, err := tco.Total()
	if want := 12*2995.2 + 48000 + 120000 + 12000; err != nil || math.Abs(total.Value-want) > 1e-6 || total.Low != total.Value || total.High != total.Value {
		t.Errorf("%+v, %v, want %v", total, err, want)
	}
	for _, bad := range []costmodel.TCO{
		{}, {Operations: -1, Development: 5}, {Development: math.NaN()}, {Monitoring: math.Inf(1)}, {Infrastructure: costmodel.Exactly(-1), Operations: 5},
	} {
		if _, err := bad.Total(); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// Figures of any size give a cost or an error, never nonsense.
func TestExtremes(t *testing.T) {
	r := seeded(t)
	anything := func() float64 { return math.Pow(10, 600*r.Float64()-300) }
	some := func(likely float64) float64 {
		if r.IntN(3) == 0 {
			return anything()
		}
		return likely
	}
	planned := 0
	for range 20000 {
		s := costmodel.Service{Name: "extreme", Host: costmodel.InstanceType{Name: "host", VCPU: some(2), MemoryGiB: some(4), USDPerHour: some(0.04)}, Capacity: costmodel.Capacity{
			Requests: costmodel.Exactly(some(100)), CPUPerRequest: costmodel.Range{Value: some(0.01), High: math.MaxFloat64}, Cores: costmodel.Exactly(some(0.01)), Memory: costmodel.Exactly(some(1e8)), Base: costmodel.Exactly(some(1e8)),
		}, Speed: some(1), Headroom: 0.9 * r.Float64()}
		if r.IntN(10) > 0 {
			s.Capacity.CPUPerRequest = costmodel.Exactly(s.Capacity.CPUPerRequest.Value)
		}
		d := costmodel.Demand{RequestsPerDay: some(1e7), Instances: r.IntN(3) * r.IntN(1<<40)}
		b, err := costmodel.MonthlyCost(s, d, costmodel.MeanMonth)
		if errors.Is(err, costmodel.ErrInput) || errors.As(err, new(*costmodel.UnfitError)) {
			continue
		}
		planned++
		if h := b.Fleet.Hosts; err != nil || !(b.USD.Value > 0) || math.IsInf(b.USD.High, 1) || h.Low < 1 || h.Low > h.Value || h.Value > h.High || b.Fleet.Instances < 1 {
			t.Errorf("%+v, %+v: %+v, %v", s, d, b, err)
		}
	}
	if planned < 1000 {
		t.Errorf("%d planned", planned)
	}
}
