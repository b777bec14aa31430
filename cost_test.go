package wasmbench

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// A product is one of the article's services that cost something by the month.
type product struct {
	name   string // the value of /service=
	guest  func(workload.Language) (workload.Workload, error)
	before func() error // it is started; may be nil
	// ask is the demand of a window with a number of its own.
	ask func(*testing.B, runtime.Service, workload.Workload, int) demand
	// users ask it, 0 for as many as its latency allows.
	users int
	time  time.Duration // of a window, at least
}

// products are the article's, in its order.
func products(b *testing.B, dir string) []product {
	same := func(b *testing.B, svc runtime.Service, w workload.Workload, _ int) demand {
		return exchanges(b, svc, w)
	}
	return []product{
		{name: "api", ask: same, guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }},
		{name: "web", ask: same, guest: func(l workload.Language) (workload.Workload, error) { return workload.Static(l, dir, fileSizes[1]) }},
		{name: "batch", ask: same, users: 2 * maxWorkers(), time: time.Second, guest: func(l workload.Language) (workload.Workload, error) {
			ph, err := photo.Take(b.Context(), megabyte)
			if err != nil {
				return nil, err
			}
			return workload.Image(l, false, workload.Resize, ph.JPEG, ph.JudgeJPEG)
		}},
		{name: "microservices",
			guest:  func(l workload.Language) (workload.Workload, error) { return workload.Shop(l, dir), nil },
			before: func() error { return stock(dir) },
			ask: func(b *testing.B, _ runtime.Service, _ workload.Workload, window int) demand {
				return customers(b, shop.Mix, window*buyers())
			}},
	}
}

// maxWorkers is how many workers the machine has processors for.
func maxWorkers() int { return suite.workers[len(suite.workers)-1] }

// costTable has the cells of the money: one runtime of each side of the article.
func costTable(of string) table {
	return table{workload: of, guests: []workload.Language{workload.Go}, runtimes: []string{"wasmtime", "containerd"},
		guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }}
}

// BenchmarkMonthlyCost is the article's monthly cost: the hosts that answer
// -cost.requests requests a day, by package costmodel. What an instance can do is
// measured in this run: how many requests a second it answers with a p99 within
// -resources.p99 (batch: at all), what processor time each takes and what memory another
// instance does. The service api is json, web a file of 64 KB, batch the resizing of
// a photograph of 1 MB and microservices the shop's mix. The host is the type of
// -cost.prices that comes cheapest. Demand and prices are assumptions of the flags,
// which a comment tells; USD/month-low and -high are what the spread of the windows
// makes of it.
func BenchmarkMonthlyCost(b *testing.B) {
	dir, err := scratchSubdir("cost")
	if err != nil {
		b.Fatal(err)
	}
	tellAssumptions()
	eachCell(b, costTable("services"), prepareNothing, func(b *testing.B, c cell[nothing]) {
		for _, p := range products(b, dir) {
			way := ways(c.candidate, false, false)[0]
			b.Run("service="+p.name+"/"+way.String(), func(b *testing.B) {
				lasting(b, func() []measure.Metric {
					s := price(b, c, way, p)
					comment("%s: %s", b.Name(), s)
					return s.metrics()
				})
			})
		}
	})
}

// BenchmarkTCO is the article's total cost of ownership of a year: twelve months of the
// four services of BenchmarkMonthlyCost, measured once a run, and what people cost, which
// are assumptions: the article's, or those of -cost.people.
func BenchmarkTCO(b *testing.B) {
	dir, err := scratchSubdir("cost")
	if err != nil {
		b.Fatal(err)
	}
	tellAssumptions()
	eachCell(b, costTable("services"), prepareNothing, func(b *testing.B, c cell[nothing]) {
		way := ways(c.candidate, false, false)[0]
		b.Run(way.String(), func(b *testing.B) {
			lasting(b, func() []measure.Metric {
				people := suite.people[contains(c.Name())]
				for _, p := range products(b, dir) {
					s := price(b, c, way, p)
					people.Infrastructure = sum(people.Infrastructure, people.WithBill(s.bill).Infrastructure)
				}
				total, err := people.Total()
				if err != nil {
					b.Fatal(err)
				}
				return []measure.Metric{
					{Value: total.Value, Unit: "USD/year"}, {Value: people.Infrastructure.Value, Unit: "infra-USD/year"},
					{Value: people.Operations, Unit: "operations-USD/year"}, {Value: people.Development, Unit: "development-USD/year"}, {Value: people.Monitoring, Unit: "monitoring-USD/year"},
				}
			})
		})
	})
}

func sum(a, b costmodel.Range) costmodel.Range {
	return costmodel.Range{Value: a.Value + b.Value, Low: a.Low + b.Low, High: a.High + b.High}
}

// tellAssumptions prints what the costs rest on that was not measured.
func tellAssumptions() {
	once("# assumed of costs: %.0f requests a day, -cost.peak=%v, -cost.headroom=%v, -cost.speed=%v, %v hours a month, hosts %v (-cost.prices); people's cost of a year in containers %v, as modules %v (-cost.people)\n",
		*flagCostRequests, *flagCostPeak, *flagCostHeadroom, *flagCostSpeed, *flagCostHours, hostNames(), people(true), people(false))
}

func hostNames() (names []string) {
	for _, t := range suite.prices {
		names = append(names, fmt.Sprintf("%s at %v USD/h", t.Name, t.USDPerHour))
	}
	return names
}

func people(containers bool) string {
	t := suite.people[containers]
	return fmt.Sprintf("%.0f+%.0f+%.0f USD", t.Operations, t.Development, t.Monitoring)
}

// configureCosts reads what the flags assume of costs.
func configureCosts() error {
	suite.sold = map[string]soldBy{}
	suite.prices = costmodel.ArticleCatalogue()
	if *flagCostPrices != "" {
		f, err := os.Open(*flagCostPrices)
		if err != nil {
			return fmt.Errorf("-cost.prices: %w", err)
		}
		defer f.Close()
		if suite.prices, err = costmodel.ReadCatalogue(f); err != nil {
			return fmt.Errorf("-cost.prices=%s: %w", *flagCostPrices, err)
		}
	}
	for name, v := range map[string]float64{"-cost.requests": *flagCostRequests, "-cost.peak": *flagCostPeak, "-cost.speed": *flagCostSpeed, "-cost.hours": *flagCostHours} {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("%s=%v: give a number above 0", name, v)
		}
	}
	if !(*flagCostHeadroom >= 0 && *flagCostHeadroom < 1) || *flagCostBase < 0 {
		return fmt.Errorf("-cost.headroom=%v -cost.base=%d: give a share from 0 to less than 1, and 0 or more MiB", *flagCostHeadroom, *flagCostBase)
	}
	suite.people = map[bool]costmodel.TCO{true: costmodel.ArticleContainerTCO(), false: costmodel.ArticleWasmTCO()}
	given := list(*flagCostPeople)
	if len(given) != 0 && len(given) != 3 {
		return fmt.Errorf("-cost.people=%s: give three numbers, of operations, development and monitoring", *flagCostPeople)
	}
	var parts []float64
	for _, s := range given {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("-cost.people=%s: give numbers of 0 or more", *flagCostPeople)
		}
		parts = append(parts, v)
	}
	for side, t := range suite.people {
		t.Infrastructure = costmodel.Range{}
		if parts != nil {
			t.Operations, t.Development, t.Monitoring = parts[0], parts[1], parts[2]
		}
		suite.people[side] = t
	}
	return nil
}
