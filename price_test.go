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
		f.Instances, f.Hosts.Value, s.host, f.Bound, s.requests.Value, s.requests.Low, s.requests.High, s.users)
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

// A sale is a product in one run: what it costs, or why it has no cost.
type sale struct {
	sold
	err   error
	asked bool
}

// errUnsold is that of a run whose benchmark ended with neither.
var errUnsold = errors.New("BenchmarkMonthlyCost of the same run ended without a figure")

// take returns the error of what was measured before, or is now. Where f ends the
// benchmark, errUnsold stays.
func (s *sale) take(f func() (sold, error)) error {
	if !s.asked {
		s.asked, s.err = true, errUnsold
		s.sold, s.err = f()
	}
	return s.err
}

// Sales are one product on a runtime by run, with those that had no cost: BenchmarkTCO
// takes each measurement once and none of another run.
type sales struct {
	runs  []*sale
	taken int
}

func salesOf(c cell[nothing], by way, p product) *sales {
	key := fmt.Sprint(c.Name(), c.language, p.name, by)
	if suite.sold[key] == nil {
		suite.sold[key] = &sales{}
	}
	return suite.sold[key]
}

// nextOf returns the next of each product, before any is measured: one that ends the
// benchmark leaves none behind for the next run.
func nextOf(c cell[nothing], by way, all []product) (each []*sale) {
	for _, p := range all {
		each = append(each, salesOf(c, by, p).next())
	}
	return each
}

// add returns that of another run.
func (s *sales) add() *sale {
	s.runs = append(s.runs, &sale{})
	return s.runs[len(s.runs)-1]
}

// next returns the first that was not taken, or that of another run.
func (s *sales) next() *sale {
	if s.taken == len(s.runs) {
		s.add()
	}
	s.taken++
	return s.runs[s.taken-1]
}

// sell measures a product on a runtime and returns what it costs on the host that comes
// cheapest.
func sell(b *testing.B, c cell[nothing], by way, p product) (sold, error) {
	b.Helper()
	y, err := measured(b, c, by, p)
	if err != nil {
		return sold{}, err
	}
	service := assumed(p.name, y.capacity(*flagCostBase<<20))
	host, bill, unfit, err := cheapest(service, suite.prices, assumedDemand(), costmodel.Hours(*flagCostHours))
	switch {
	case err != nil:
		return sold{}, err
	case host == "":
		return sold{}, errors.Join(unfit...)
	}
	for _, err := range unfit {
		comment("%s: %s", b.Name(), oneLine(err.Error()))
	}
	return sold{y, host, bill}, nil
}

// tellBill says what a figure is of, and where every runtime that can do as much has it.
func tellBill(b *testing.B, s sold) {
	b.Helper()
	comment("%s: %s", b.Name(), s)
	if s.least(suite.prices, costmodel.Hours(*flagCostHours)) {
		comment("%s: no bill is less: every runtime that answers %.0f requests a second on one %s costs this; a greater -cost.requests tells them apart", b.Name(), *flagCostRequests**flagCostPeak/86400, s.host)
	}
}

// refused tells whether an error is why a product has no cost, rather than of measuring.
func refused(err error) bool {
	return errors.Is(err, errTooSlow) || errors.Is(err, errUnsold) || errors.As(err, new(*costmodel.UnfitError))
}

// assumed is a service as the flags plan it.
func assumed(name string, c costmodel.Capacity) costmodel.Service {
	return costmodel.Service{Name: name, Capacity: c, Speed: *flagCostSpeed, Headroom: *flagCostHeadroom}
}

func assumedDemand() costmodel.Demand {
	return costmodel.Demand{RequestsPerDay: *flagCostRequests, Peak: *flagCostPeak}
}

// least tells whether no bill is less: that of one host of the cheapest type with nothing
// beyond.
func (s sold) least(types costmodel.Catalogue, month costmodel.Hours) bool {
	for _, t := range types {
		if t.USDPerHour*float64(month) < s.bill.USD.Value {
			return false
		}
	}
	return true
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
