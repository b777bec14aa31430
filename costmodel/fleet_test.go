package costmodel_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

var host = costmodel.InstanceType{Name: "host", VCPU: 2, MemoryGiB: 4, USDPerHour: 0.04}

const mib = 1 << 20

// service is one of the tests': an instance answers 100 requests a second, each of 4 ms
// of processor time, and takes 256 MiB.
func service(change func(*costmodel.Service)) costmodel.Service {
	s := costmodel.Service{Name: "service", Host: host, Capacity: costmodel.Capacity{
		Requests:      costmodel.Exactly(100),
		CPUPerRequest: costmodel.Exactly(0.004),
		Memory:        costmodel.Exactly(256 * mib),
	}}
	if change != nil {
		change(&s)
	}
	return s
}

func perSecond(n float64) costmodel.Demand { return costmodel.Demand{RequestsPerDay: n * 24 * 60 * 60} }

func TestFleet(t *testing.T) {
	tests := []struct {
		name             string
		change           func(*costmodel.Service)
		demand           costmodel.Demand
		hosts, instances int
		bound            costmodel.Bound
	}{
		// A host's two processors answer 500 requests a second, its memory holds 16 instances.
		{"one host", nil, perSecond(100), 1, 1, costmodel.BoundCPU},
		{"a whole host", nil, perSecond(500), 1, 5, costmodel.BoundCPU},
		{"a little more", nil, perSecond(500.1), 2, 6, costmodel.BoundCPU},
		{"the peak counts", nil, costmodel.Demand{RequestsPerDay: 100 * 86400, Peak: 6}, 2, 6, costmodel.BoundCPU},
		{"memory holds four", func(s *costmodel.Service) { s.Capacity.Memory = costmodel.Exactly(1000 * mib) }, perSecond(500), 2, 5, costmodel.BoundMemory},
		{"half of the memory is taken", func(s *costmodel.Service) { s.Capacity.Base = costmodel.Exactly(2048 * mib) }, costmodel.Demand{Instances: 16}, 2, 16, costmodel.BoundMemory},
		{"held instances and their processors", func(s *costmodel.Service) { s.Capacity.Cores = costmodel.Exactly(0.25) }, costmodel.Demand{Instances: 17}, 3, 17, costmodel.BoundCPU},
		{"held instances leave processors", func(s *costmodel.Service) { s.Capacity.Cores = costmodel.Exactly(0.1) }, costmodel.Demand{RequestsPerDay: 250 * 86400, Instances: 10}, 1, 10, costmodel.BoundCPU},
		{"and then no more", func(s *costmodel.Service) { s.Capacity.Cores = costmodel.Exactly(0.1) }, costmodel.Demand{RequestsPerDay: 251 * 86400, Instances: 10}, 2, 10, costmodel.BoundCPU},
		// 250 a second by each host is two instances and a half, so each has three.
		{"part of an instance on each host", func(s *costmodel.Service) { s.Capacity.CPUPerRequest = costmodel.Exactly(0.008) }, perSecond(500), 2, 6, costmodel.BoundCPU},
		{"half the speed", func(s *costmodel.Service) { s.Speed = 0.5 }, perSecond(500), 2, 6, costmodel.BoundCPU},
		{"a fifth is kept free", func(s *costmodel.Service) { s.Headroom = 0.2 }, perSecond(400), 1, 5, costmodel.BoundCPU},
		{"and of memory", func(s *costmodel.Service) { s.Headroom = 0.25 }, costmodel.Demand{Instances: 13}, 2, 13, costmodel.BoundMemory},
		{"ten on a host", func(s *costmodel.Service) { s.PerHost = 10 }, perSecond(1001), 2, 11, costmodel.BoundFixed},
		{"ten on a host, more held", func(s *costmodel.Service) { s.PerHost = 10 }, costmodel.Demand{RequestsPerDay: 1, Instances: 31}, 4, 31, costmodel.BoundFixed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := service(tt.change).Fleet(tt.demand)
			if err != nil {
				t.Fatal(err)
			}
			exact := func(n int) costmodel.Count { return costmodel.Count{Value: n, Low: n, High: n} }
			if f.Hosts != exact(tt.hosts) || f.Instances != tt.instances || f.Bound != tt.bound {
				t.Errorf("%+v, want %d hosts, %d instances, bound by %s", f, tt.hosts, tt.instances, tt.bound)
			}
		})
	}
}

// Processors alone would take one host and memory alone two, or the other way round.
func TestBound(t *testing.T) {
	for _, tt := range []struct {
		memory, cpu     float64
		byCPU, byMemory int
	}{{1000 * mib, 0.004, 1, 2}, {256 * mib, 0.008, 2, 1}} {
		s := service(func(s *costmodel.Service) {
			s.Capacity.Memory, s.Capacity.CPUPerRequest = costmodel.Exactly(tt.memory), costmodel.Exactly(tt.cpu)
		})
		if f, err := s.Fleet(perSecond(500)); err != nil || f.ByCPU != tt.byCPU || f.ByMemory != tt.byMemory || f.Hosts.Value != 2 {
			t.Errorf("%+v, %v, want %d and %d", f, err, tt.byCPU, tt.byMemory)
		}
	}
}

func TestUnfit(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*costmodel.Service)
		demand   costmodel.Demand
		resource costmodel.Bound
		says     string
	}{
		{"too large", func(s *costmodel.Service) { s.Capacity.Memory = costmodel.Exactly(5000 * mib) }, perSecond(1), costmodel.BoundMemory, "service does not fit a host"},
		{"the system leaves too little", func(s *costmodel.Service) { s.Capacity.Base = costmodel.Exactly(4000 * mib) }, costmodel.Demand{Instances: 1}, costmodel.BoundMemory, "100663296 are free"},
		{"the system takes more than there is", func(s *costmodel.Service) { s.Capacity.Base = costmodel.Exactly(8000 * mib) }, costmodel.Demand{Instances: 1}, costmodel.BoundMemory, "0 are free"},
		{"headroom leaves too little", func(s *costmodel.Service) { s.Capacity.Memory, s.Headroom = costmodel.Exactly(4000*mib), 0.1 }, costmodel.Demand{Instances: 1}, costmodel.BoundMemory, "fit"},
		{"its interval may be", func(s *costmodel.Service) { s.Capacity.Memory = costmodel.Range{Value: 1, Low: 1, High: 5000 * mib} }, perSecond(1), costmodel.BoundMemory, "unfavourable ends"},
		{"too busy", func(s *costmodel.Service) { s.Capacity.Cores = costmodel.Exactly(3) }, costmodel.Demand{Instances: 1}, costmodel.BoundCPU, "3 vCPU busy"},
		{"nothing left for requests", func(s *costmodel.Service) { s.Capacity.Cores = costmodel.Exactly(2) }, perSecond(1), costmodel.BoundCPU, "2 vCPU busy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := service(tt.change).Fleet(tt.demand)
			var unfit *costmodel.UnfitError
			if !errors.As(err, &unfit) || unfit.Resource != tt.resource || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
	if _, err := service(nil).Fleet(costmodel.Demand{RequestsPerDay: 1e300}); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("a demand without end: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	type input struct {
		s     costmodel.Service
		d     costmodel.Demand
		month costmodel.Hours
	}
	fields := map[string]func(*input, float64){
		"price":            func(i *input, v float64) { i.s.Host.USDPerHour = v },
		"vCPU":             func(i *input, v float64) { i.s.Host.VCPU = v },
		"memory of a host": func(i *input, v float64) { i.s.Host.MemoryGiB = v },
		"requests":         func(i *input, v float64) { i.s.Capacity.Requests = costmodel.Exactly(v) },
		"cpu":              func(i *input, v float64) { i.s.Capacity.CPUPerRequest = costmodel.Exactly(v) },
		"memory":           func(i *input, v float64) { i.s.Capacity.Memory = costmodel.Exactly(v) },
		"demand":           func(i *input, v float64) { i.d.RequestsPerDay = v },
		"month":            func(i *input, v float64) { i.month = costmodel.Hours(v) },
	}
	zeroIsDefault := map[string]func(*input, float64){
		"base":     func(i *input, v float64) { i.s.Capacity.Base = costmodel.Exactly(v) },
		"cores":    func(i *input, v float64) { i.s.Capacity.Cores = costmodel.Exactly(v) },
		"speed":    func(i *input, v float64) { i.s.Speed = v },
		"headroom": func(i *input, v float64) { i.s.Headroom = v },
		"peak":     func(i *input, v float64) { i.d.Peak = v },
		"baseline": func(i *input, v float64) { i.s.Host.Baseline = v },
		"surplus":  func(i *input, v float64) { i.s.Host.SurplusUSD = v },
		"per host": func(i *input, v float64) { i.s.PerHost = int(max(-1, min(v, 0))) },
		"held":     func(i *input, v float64) { i.d.Instances = int(max(-1, min(v, 0))) },
	}
	cost := func(set func(*input, float64), v float64) error {
		i := input{service(nil), perSecond(10), costmodel.ArticleMonth}
		set(&i, v)
		_, err := costmodel.MonthlyCost(i.s, i.d, i.month)
		return err
	}
	for name, set := range fields {
		for _, v := range []float64{0, -1, nan, inf, -inf} {
			if err := cost(set, v); !errors.Is(err, costmodel.ErrInput) {
				t.Errorf("%s of %v: %v", name, v, err)
			}
		}
	}
	for name, set := range zeroIsDefault {
		if err := cost(set, 0); err != nil {
			t.Errorf("%s left out: %v", name, err)
		}
		for _, v := range []float64{-1, -inf} {
			if err := cost(set, v); !errors.Is(err, costmodel.ErrInput) {
				t.Errorf("%s of %v: %v", name, v, err)
			}
		}
		if name == "per host" || name == "held" {
			continue
		}
		for _, v := range []float64{nan, inf} {
			if err := cost(set, v); !errors.Is(err, costmodel.ErrInput) {
				t.Errorf("%s of %v: %v", name, v, err)
			}
		}
	}
	for name, r := range map[string]costmodel.Range{
		"does not hold its value":  {Value: 5, Low: 6, High: 7},
		"is upside down":           {Value: 5, Low: 7, High: 3},
		"is below 0":               {Value: 5, Low: -1, High: 7},
		"has no value":             {High: 7},
		"has an end that is none":  {Value: 5, Low: 1, High: inf},
		"has an end that is a NaN": {Value: 5, Low: nan, High: 6},
	} {
		s := service(func(s *costmodel.Service) { s.Capacity.Memory = r })
		if _, err := s.Fleet(perSecond(1)); !errors.Is(err, costmodel.ErrInput) || !strings.Contains(err.Error(), "memory of an instance") {
			t.Errorf("an interval that %s: %v", name, err)
		}
	}
	s := service(func(s *costmodel.Service) { s.Capacity.Requests = costmodel.Range{Value: 5, High: 6} })
	if _, err := s.Fleet(perSecond(1)); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("an instance that may answer nothing: %v", err)
	}
	if _, err := service(nil).Fleet(costmodel.Demand{}); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("no demand: %v", err)
	}
	if _, err := costmodel.CostPerMillionRequests(service(nil), costmodel.Demand{Instances: 3}, costmodel.MeanMonth); !errors.Is(err, costmodel.ErrInput) {
		t.Errorf("no requests: %v", err)
	}
}

// Fleets are compared with all ways to spread instances over a few hosts.
func TestFleetIsLeast(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 8))
	// answers finds the most requests a second that n instances on so many hosts answer.
	var answers func(s costmodel.Service, hosts, n, most int) float64
	answers = func(s costmodel.Service, hosts, n, most int) float64 {
		if hosts == 0 {
			if n > 0 {
				return math.Inf(-1)
			}
			return 0
		}
		best := math.Inf(-1)
		for here := range min(n, most) + 1 {
			one := 0.
			if here > 0 {
				c := s.Capacity
				one = min(float64(here)*c.Requests.Value, (s.Host.VCPU-float64(here)*c.Cores.Value)/c.CPUPerRequest.Value)
			}
			if one >= 0 {
				best = max(best, one+answers(s, hosts-1, n-here, most))
			}
		}
		return best
	}
	for range 300 {
		s := service(func(s *costmodel.Service) {
			s.Capacity.Requests = costmodel.Exactly(100 * math.Pow(100, r.Float64()*float64(r.IntN(2))))
			s.Capacity.CPUPerRequest = costmodel.Exactly(0.002 + 0.01*r.Float64())
			s.Capacity.Cores = costmodel.Exactly(0.3 * r.Float64() * float64(r.IntN(2)))
			s.Capacity.Memory = costmodel.Exactly(float64(500+r.IntN(1500)) * mib)
		})
		d := perSecond(700 * r.Float64())
		d.Instances = r.IntN(7)
		f, err := s.Fleet(d)
		if err != nil {
			t.Fatalf("seed %d: %+v: %v", seed, s, err)
		}
		most := int(4 * 1024 * mib / s.Capacity.Memory.Value)
		asked := d.RequestsPerDay / 86400
		can := func(hosts, n int) bool { return n >= d.Instances && answers(s, hosts, n, most) >= asked }
		hosts, instances := 0, 0
		for hosts = 1; instances == 0; hosts++ {
			for n := 1; n <= hosts*most && instances == 0; n++ {
				if can(hosts, n) {
					instances = n
				}
			}
		}
		if f.Hosts.Value != hosts-1 || f.Instances != instances {
			t.Errorf("seed %d: %+v, %+v: %d hosts and %d instances, trying all gives %d and %d", seed, s.Capacity, d, f.Hosts.Value, f.Instances, hosts-1, instances)
		}
	}
}
