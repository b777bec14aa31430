package wasmbench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A sold product is one with what it costs on a runtime.
type sold struct {
	capacity costmodel.Capacity
	users    int // that were asking when that was measured
	host     string
	bill     costmodel.Bill
}

func (s sold) String() string {
	f := s.bill.Fleet
	return fmt.Sprintf("%d instances on %d %s, bound by %s; an instance answers %.0f requests a second (%.0f to %.0f) of %d users",
		f.Instances.Value, f.Hosts.Value, s.host, f.Bound, s.capacity.Requests.Value, s.capacity.Requests.Low, s.capacity.Requests.High, s.users)
}

func (s sold) metrics() []measure.Metric {
	return []measure.Metric{
		{Value: s.bill.USD.Value, Unit: "USD/month"}, {Value: s.bill.USD.Low, Unit: "USD/month-low"}, {Value: s.bill.USD.High, Unit: "USD/month-high"},
		{Value: float64(s.bill.Fleet.Hosts.Value), Unit: "hosts"}, {Value: s.bill.PerMillion.Value, Unit: "USD/Mreq"},
		{Value: s.capacity.Requests.Value, Unit: "req/s"}, {Value: s.capacity.CPUPerRequest.Value * 1e9, Unit: "cpu-ns/req"}, {Value: s.capacity.Memory.Value, Unit: "inst-B"},
	}
}

// price measures a product on a runtime, once a run for each benchmark that asks for it
// again, and returns what it costs on the host that comes cheapest.
func price(b *testing.B, c cell[nothing], w way, p product) sold {
	b.Helper()
	key := c.Name() + " " + string(c.language) + " " + p.name + " " + w.String()
	if s, ok := suite.sold[key]; ok && b.Name() != s.by {
		return s.sold
	}
	progress("%s: %s", b.Name(), p.name)
	s := capacity(b, c, w, p)
	var refused []error
	for _, t := range suite.prices {
		service := costmodel.Service{Name: p.name, Host: t, Capacity: s.capacity, Speed: *flagCostSpeed, Headroom: *flagCostHeadroom}
		bill, err := costmodel.MonthlyCost(service, costmodel.Demand{RequestsPerDay: *flagCostRequests, Peak: *flagCostPeak}, costmodel.Hours(*flagCostHours))
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if s.host == "" || bill.USD.Value < s.bill.USD.Value {
			s.host, s.bill = t.Name, bill
		}
	}
	if s.host == "" {
		b.Fatal(errors.Join(refused...))
	}
	suite.sold[key] = soldBy{s, b.Name()}
	return s
}

// soldBy is what a benchmark has measured.
type soldBy struct {
	sold sold
	by   string
}

// capacity measures what one instance of a product can do, and what memory a second one
// takes that is under load too.
func capacity(b *testing.B, c cell[nothing], by way, p product) sold {
	w, err := p.guest(c.language)
	if err == nil && p.before != nil {
		err = p.before()
	}
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	made := &servers{candidate: c.candidate, workload: w, made: map[way]runtime.ServerImage{}}
	defer func() {
		for w := range made.made {
			if err := made.forget(w); err != nil {
				b.Errorf("closing the image of %s: %v", c.Name(), err)
			}
		}
	}()
	f := fleet(b, cell[*servers]{c.candidate, c.language, w, made}, by)
	defer closeInstance(b, f)
	if err := f.Resize(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	windows := 0
	window := func(users int) *measure.Serving {
		d := p.ask(b, f.Services()[0], w, windows)
		windows++
		plan := d.plan()
		plan.Connections, plan.Duration = users, max(plan.Duration, p.time)
		s, err := measure.Serve(b.Context(), f.Services(), plan, d.Script, measure.ServingOptions{Memory: true})
		if err == nil {
			err = s.Err()
		}
		if err != nil {
			b.Fatal(err)
		}
		served(b, s)
		return s
	}
	users := p.users
	if users == 0 {
		users = *flagConnections
		for s := window(users); latency(s) > *flagNeedP99; s = window(users) {
			if users == 1 {
				b.Skipf("a single user is answered in %v at p99, where the limit is %v (-resources.p99)", latency(s), *flagNeedP99)
			}
			users /= 2
		}
	}
	var rates, cpu []float64
	var one measure.Usage
	for range *flagKneeWindows {
		s := window(users)
		rates = append(rates, s.Throughput())
		cpu = append(cpu, (s.CPU+s.SharedCPU).Seconds()/float64(s.Result.Completed))
		one = s.Memory
	}
	if err := f.Resize(b.Context(), 2); err != nil {
		b.Fatal(err)
	}
	two := window(max(users, 2)).Memory
	s := sold{users: users}
	s.capacity.Memory = another(float64(one.Own.PSS), float64(two.Own.PSS))
	s.capacity.Base = costmodel.Exactly(float64(one.Shared.PSS) + float64(*flagCostBase<<20))
	var rateErr, cpuErr error
	s.capacity.Requests, rateErr = costmodel.Spread(rates...)
	s.capacity.CPUPerRequest, cpuErr = costmodel.Spread(cpu...)
	if err := errors.Join(rateErr, cpuErr); err != nil {
		b.Fatal(err)
	}
	return s
}

// latency is that at p99, or the longest where so few requests carry no p99.
func latency(s *measure.Serving) time.Duration {
	if v, ok := s.Percentile(99); ok {
		return v
	}
	return time.Duration(s.Result.Latency.Max())
}

// another is the memory that a further instance takes: what two take more than one, and
// at most what a single one does.
func another(one, two float64) costmodel.Range {
	if more := two - one; more > 0 && more < one {
		return costmodel.Range{Value: more, Low: more, High: one}
	}
	return costmodel.Exactly(one)
}
