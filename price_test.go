package wasmbench

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
)

// A sold product is what one yields on a runtime, and what that costs.
type sold struct {
	yield
	host string
	bill costmodel.Bill
}

func (s sold) String() string {
	f := s.bill.Fleet
	return fmt.Sprintf("%d instances on %d %s, bound by %s; an instance answers %.1f requests a second (%.1f to %.1f) of %d users",
		f.Instances.Value, f.Hosts.Value, s.host, f.Bound, s.requests.Value, s.requests.Low, s.requests.High, s.users)
}

func (s sold) metrics() []measure.Metric {
	ms := ranged("USD/month", s.bill.USD, 1)
	ms = append(ms, measure.Metric{Value: s.bill.Surplus.Value, Unit: "surplus-USD/month"},
		measure.Metric{Value: float64(s.bill.Fleet.Hosts.Value), Unit: "hosts"}, measure.Metric{Value: s.bill.PerMillion.Value, Unit: "USD/Mreq"})
	ms = append(ms, ranged("req/s", s.requests, 1)...)
	ms = append(ms, ranged("cpu-ns/req", s.own, 1e9)...)
	if s.shared.High > 0 {
		ms = append(ms, ranged("daemon-cpu-ns/req", s.shared, 1e9)...)
	}
	ms = append(ms, ranged("inst-pss-B", s.memory, 1)...)
	return append(ms, measure.Metric{Value: s.base, Unit: "base-pss-B"})
}

// ranged are a value and its ends, so many of the unit.
func ranged(unit string, r costmodel.Range, by float64) []measure.Metric {
	return []measure.Metric{{Value: r.Value * by, Unit: unit}, {Value: r.Low * by, Unit: unit + "-low"}, {Value: r.High * by, Unit: unit + "-high"}}
}

// Sales are one product on a runtime by run: BenchmarkTCO does not take one measurement
// for several.
type sales struct {
	measured []sold
	taken    int
}

func salesOf(c cell[nothing], by way, p product) *sales {
	key := fmt.Sprint(c.Name(), c.language, p.name, by)
	if suite.sold[key] == nil {
		suite.sold[key] = &sales{}
	}
	return suite.sold[key]
}

// next returns the first that was not taken, or one that is measured.
func (s *sales) next(measure func() sold) sold {
	if s.taken == len(s.measured) {
		s.measured = append(s.measured, measure())
	}
	s.taken++
	return s.measured[s.taken-1]
}

// sell measures a product on a runtime and returns what it costs on the host that comes
// cheapest.
func sell(b *testing.B, c cell[nothing], by way, p product) sold {
	b.Helper()
	s := sold{yield: measured(b, c, by, p)}
	service := costmodel.Service{Name: p.name, Capacity: s.capacity(*flagCostBase << 20), Speed: *flagCostSpeed, Headroom: *flagCostHeadroom}
	demand := costmodel.Demand{RequestsPerDay: *flagCostRequests, Peak: *flagCostPeak}
	host, bill, unfit, err := cheapest(service, suite.prices, demand, costmodel.Hours(*flagCostHours))
	for _, err := range unfit {
		comment("%s: %s", b.Name(), oneLine(err.Error()))
	}
	switch {
	case err != nil:
		b.Fatal(err)
	case host == "":
		b.Skip(errors.Join(unfit...))
	}
	s.host, s.bill = host, bill
	return s
}

// cheapest returns the type on which a service costs least, and its bill. Those that
// cannot hold an instance are in unfit, each as an *UnfitError; where all are the name
// is "".
func cheapest(s costmodel.Service, types costmodel.Catalogue, d costmodel.Demand, month costmodel.Hours) (host string, bill costmodel.Bill, unfit []error, err error) {
	for _, t := range types {
		s.Host = t
		of, err := costmodel.MonthlyCost(s, d, month)
		switch {
		case errors.As(err, new(*costmodel.UnfitError)):
			unfit = append(unfit, err)
		case err != nil:
			return "", costmodel.Bill{}, nil, err
		case host == "" || of.USD.Value < bill.USD.Value:
			host, bill = t.Name, of
		}
	}
	return host, bill, unfit, nil
}
