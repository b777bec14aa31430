package wasmbench

import (
	"errors"
	"fmt"
	"math"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// A product is one of the article's services that cost something by the month.
type product struct {
	name   string // the value of /service=
	guest  func(workload.Language) (workload.Workload, error)
	before func() error // it is started; may be nil
	// ask is the demand of a window with a number of its own.
	ask func(*testing.B, runtime.Service, workload.Workload, int) demand
	// users ask it of whom none minds waiting, 0 for as many as its latency allows.
	users int
}

// products are the article's, in its order.
func products(dir string) []product {
	same := func(b *testing.B, svc runtime.Service, w workload.Workload, _ int) demand {
		return exchanges(b, svc, w)
	}
	return []product{
		{name: "api", ask: same, guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }},
		{name: "web", ask: same, guest: func(l workload.Language) (workload.Workload, error) { return workload.Static(l, dir, fileSizes[1]) }},
		// More users than processors would do no more, and have more half done when a window ends.
		{name: "batch", ask: same, users: goruntime.NumCPU(), guest: func(l workload.Language) (workload.Workload, error) {
			ph, err := photoOf(1)
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

// costTable has the cells of the money: one runtime of each side of the article.
func costTable(of string) table {
	return table{workload: of, guests: []workload.Language{workload.Go}, runtimes: []string{"wasmtime", "containerd"},
		guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }}
}

// BenchmarkMonthlyCost is the article's monthly cost: the hosts that answer
// -cost.requests requests a day, by package costmodel. What an instance can do is
// measured in this run: how many requests a second it answers within -resources.p99, what
// processor time each takes and what memory another instance does.
//
// Users who wait for their answers tell where it is saturated, but arrivals do not wait:
// req/s is what was answered of an open loop at 0.7 of that or, where -cost.windows windows
// together are not within the limit, at half of it and so on. Between a rate that is kept
// and the one before, which is twice that, two more are tried. req/s-high is the least that
// was refused, or what saturates it where none was: the resolution of req/s is from 1/7 to
// 1/4 of it, and 3/7 where 0.7 is kept. Windows are as long as it takes to have 500
// requests at a rate, which carry a p99; where -budget cuts them short, the longest latency
// stands for it. batch has no limit: a queue keeps it busy, in a closed loop, for windows
// of a dozen pictures. cpu-ns/req is of the instance's own processes and daemon-cpu-ns/req of
// shared ones, at that rate. inst-pss-B is by one pair of readings, of two new instances and
// of a single new one.
//
// The service api is json, web a file of 64 KB, batch the resizing of a photograph of 1 MB
// and microservices the shop's mix. The host is the type of -cost.prices that comes
// cheapest; one that cannot hold an instance is named in a comment. Demand and prices
// are assumptions of the flags, which a comment tells. With -cost.headroom=0 hosts are
// planned with all of their processors busy, where p99 was shown of one instance at the
// rate that it kept: nothing is known of p99 on a host so full. USD/month has
// surplus-USD/month in it, for processor time that the price of a burstable type does not
// cover. USD/month-low and -high are what the spread from the least to the greatest of the
// windows of one process makes of it: no interval of a known confidence, so repeat the run.
func BenchmarkMonthlyCost(b *testing.B) {
	eachProduct(b, func(b *testing.B, c cell[nothing], by way, all []product) {
		for _, p := range all {
			b.Run("service="+p.name+"/"+by.String(), func(b *testing.B) {
				lasting(b, func() []measure.Metric {
					s := salesOf(c, by, p).add()
					if err := s.take(func() (sold, error) { return sell(b, c, by, p) }); err != nil {
						costless(b, err)
					}
					tellBill(b, s.sold)
					return s.metrics()
				})
			})
		}
	})
}

// BenchmarkTCO is the article's total cost of ownership of a year, which is twelve months
// of -cost.hours: of 720, as the article has them, 360 days. It has the four services of
// BenchmarkMonthlyCost, as that measured them in the run with the same number, or anew, and
// no figure where one of them had none there. It has what people cost, which are
// assumptions: the article's, or those of -cost.people. The article has none for native
// processes.
func BenchmarkTCO(b *testing.B) {
	eachProduct(b, func(b *testing.B, c cell[nothing], by way, all []product) {
		people, known := peopleOf(c.Name())
		if !known {
			once("# left out BenchmarkTCO/runtime=%s: nobody has said what its people cost; -cost.people=OPERATIONS,DEVELOPMENT,MONITORING does\n", c.Name())
			b.SkipNow()
		}
		b.Run(by.String(), func(b *testing.B) {
			lasting(b, func() []measure.Metric {
				year := people
				for i, s := range nextOf(c, by, all) {
					if err := s.take(func() (sold, error) { return sell(b, c, by, all[i]) }); err != nil {
						costless(b, fmt.Errorf("service=%s: %w", all[i].name, err))
					}
					year.Infrastructure = year.Infrastructure.Plus(year.WithBill(s.bill).Infrastructure)
				}
				total, err := year.Total()
				if err != nil {
					b.Fatal(err)
				}
				return []measure.Metric{
					{Value: total.Value, Unit: "USD/year"}, {Value: total.Low, Unit: "USD/year-low"}, {Value: total.High, Unit: "USD/year-high"},
					{Value: year.Infrastructure.Value, Unit: "infra-USD/year"},
					{Value: year.Operations, Unit: "operations-USD/year"}, {Value: year.Development, Unit: "development-USD/year"}, {Value: year.Monitoring, Unit: "monitoring-USD/year"},
				}
			})
		})
	})
}

// eachProduct runs f for every cell of the costs, with the one way in which the products are
// served there: by instances that are kept, or by a fresh one for each request where the
// runtime, or -http.serve, has no others.
func eachProduct(b *testing.B, f func(*testing.B, cell[nothing], way, []product)) {
	dir, err := scratchSubdir("cost")
	if err != nil {
		b.Fatal(err)
	}
	tellAssumptions()
	eachCell(b, costTable("services"), prepareNothing, func(b *testing.B, c cell[nothing]) {
		by, ok := oneWay(c.candidate)
		if !ok {
			once("# left out %s: %s serves in no way that -http.serve=%s names\n", b.Name(), c.Name(), *flagServe)
			b.SkipNow()
		}
		f(b, c, by, products(dir))
	})
}

// oneWay returns the way in which the products are served on a runtime; ok is false where
// -http.serve names none that it has.
func oneWay(c *candidate) (by way, ok bool) {
	all := ways(c, false, len(ways(c, false, false)) == 0)
	if len(all) == 0 {
		return way{}, false
	}
	return all[0], true
}

// tellAssumptions prints what the costs rest on that was not measured.
func tellAssumptions() {
	once("# assumed of costs: %.0f requests a day, -cost.peak=%v, p99 within -resources.p99=%v, -cost.headroom=%v, -cost.speed=%v, a host's own system takes -cost.base=%d MiB, a month has %v hours and a year 12 of them, hosts %s (-cost.prices); people's cost of a year in containers %v, as modules %v (-cost.people)\n",
		*flagCostRequests, *flagCostPeak, *flagNeedP99, *flagCostHeadroom, *flagCostSpeed, *flagCostBase, *flagCostHours, strings.Join(hostNames(), " and "), people(true), people(false))
}

func hostNames() (names []string) {
	for _, t := range suite.prices {
		name := fmt.Sprintf("%s at %v USD/h", t.Name, t.USDPerHour)
		if t.SurplusUSD > 0 {
			name += fmt.Sprintf(" for %v %% of its vCPUs and %v USD for an hour of one beyond", 100*t.Baseline, t.SurplusUSD)
		}
		names = append(names, name)
	}
	return names
}

func people(containers bool) string {
	t := suite.people[containers]
	return fmt.Sprintf("%.0f+%.0f+%.0f USD", t.Operations, t.Development, t.Monitoring)
}

// peopleOf returns what people cost in a year with a runtime. known is false where nobody
// has said: three numbers are for any, and else there are those of containers and modules.
func peopleOf(runtime string) (t costmodel.TCO, known bool) {
	if runtime == "native" && len(peopleGiven()) != 3 {
		return costmodel.TCO{}, false
	}
	return suite.people[contains(runtime)], true
}

// peopleGiven are the elements of -cost.people, with empty ones, which are a mistake.
func peopleGiven() []string {
	if *flagCostPeople == "" {
		return nil
	}
	return strings.Split(*flagCostPeople, ",")
}

// mostBase and mostHours are what a host's own system can take, in MiB, and the hours of
// a leap year.
const (
	mostBase  = 1 << 30
	mostHours = 366 * 24
)

// configureCosts reads what the flags assume of costs.
func configureCosts() error {
	suite.sold = map[string]*sales{}
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
	for name, v := range map[string]float64{"-cost.requests": *flagCostRequests, "-cost.speed": *flagCostSpeed, "-cost.hours": *flagCostHours} {
		if !(v > 0) || math.IsInf(v, 0) {
			return fmt.Errorf("%s=%v: give a number above 0", name, v)
		}
	}
	if !(*flagCostPeak >= 1) || math.IsInf(*flagCostPeak, 0) {
		return fmt.Errorf("-cost.peak=%v: give a number of 1 or more: no moment is busier than the busiest", *flagCostPeak)
	}
	if *flagCostWindows < 1 || *flagCostTime <= 0 {
		return fmt.Errorf("-cost.windows=%d -cost.time=%v: give values above 0", *flagCostWindows, *flagCostTime)
	}
	if *flagCostHours > mostHours {
		return fmt.Errorf("-cost.hours=%v: give at most %d, a whole year", *flagCostHours, mostHours)
	}
	if !(*flagCostHeadroom >= 0 && *flagCostHeadroom < 1) || *flagCostBase < 0 || *flagCostBase > mostBase {
		return fmt.Errorf("-cost.headroom=%v -cost.base=%d: give a share from 0 to less than 1, and from 0 to %d MiB", *flagCostHeadroom, *flagCostBase, mostBase)
	}
	if err := tryCosts(); err != nil {
		return err
	}
	return configurePeople()
}

// tryCosts bills a stand-in, so that what can be told before anything is measured is: it is
// slower than any service here, and next to nothing of memory is enough for it.
func tryCosts() error {
	slow := costmodel.Capacity{Requests: costmodel.Exactly(0.01), CPUPerRequest: costmodel.Exactly(100), Memory: costmodel.Exactly(1), Base: costmodel.Exactly(float64(*flagCostBase << 20))}
	host, _, unfit, err := cheapest(assumed("a slow service", slow), suite.prices, assumedDemand(), costmodel.Hours(*flagCostHours))
	switch {
	case err != nil:
		return fmt.Errorf("-cost.requests=%v -cost.peak=%v -cost.headroom=%v -cost.speed=%v -cost.hours=%v: %w", *flagCostRequests, *flagCostPeak, *flagCostHeadroom, *flagCostSpeed, *flagCostHours, err)
	case host == "":
		return fmt.Errorf("-cost.base=%d -cost.headroom=%v leave no host anything: %w", *flagCostBase, *flagCostHeadroom, errors.Join(unfit...))
	}
	return nil
}

// configurePeople reads what people cost: three numbers for both sides, or for containers
// and for modules.
func configurePeople() error {
	suite.people = map[bool]costmodel.TCO{true: costmodel.ArticleContainerTCO(), false: costmodel.ArticleWasmTCO()}
	given := peopleGiven()
	if n := len(given); n != 0 && n != 3 && n != 6 {
		return fmt.Errorf("-cost.people=%s: give three numbers, of operations, development and monitoring, or six: those of containers, then those of modules", *flagCostPeople)
	}
	var parts []float64
	for _, s := range given {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("-cost.people=%s: give numbers of 0 or more", *flagCostPeople)
		}
		parts = append(parts, v)
	}
	for containers, t := range suite.people {
		t.Infrastructure = costmodel.Range{}
		if parts != nil {
			of := parts[:3]
			if !containers {
				of = parts[len(parts)-3:]
			}
			t.Operations, t.Development, t.Monitoring = of[0], of[1], of[2]
		}
		suite.people[containers] = t
		t.Infrastructure = costmodel.Exactly(1)
		if _, err := t.Total(); err != nil {
			return fmt.Errorf("-cost.people=%s: %w", *flagCostPeople, err)
		}
	}
	return nil
}
