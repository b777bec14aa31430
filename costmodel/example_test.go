package costmodel_test

import (
	"fmt"
	"log"
	"os"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// A figure is what a line of a benchmark output file has of one runtime in one
// unit. Its benchmark is the whole name without what tells how the runtime runs it: both
// sides of a comparison then have the same.
type figure struct{ benchmark, runtime, unit string }

func figures(file string) (map[figure][]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[figure][]float64{}
	lines := benchfmt.NewReader(f, file)
	for lines.Scan() {
		result, ok := lines.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		base, parts := result.Name.Parts()
		of := figure{benchmark: string(base)}
		for _, part := range parts {
			name, value, _ := strings.Cut(string(part), "=")
			switch name {
			case "/runtime":
				of.runtime = value
			case "/workload", "/guest", "/service", "/cache", "/n":
				of.benchmark += string(part)
			}
		}
		for _, v := range result.Values {
			value := v.Value
			if of.unit = v.Unit; v.OrigUnit != "" {
				value, of.unit = v.OrigValue, v.OrigUnit // ns and not seconds
			}
			all[of] = append(all[of], value)
		}
	}
	return all, lines.Err()
}

// A month of a JSON service with ten million requests a day, in containers and as
// modules, and what to choose, from what one run of the suite printed.
func Example() {
	measured, err := figures("../testdata/sample.txt")
	if err != nil {
		log.Fatal(err)
	}
	of := func(benchmark, runtime, unit string) costmodel.Range {
		r, err := costmodel.Spread(measured[figure{benchmark, runtime, unit}]...)
		if err != nil {
			log.Fatalf("%s of %s, %s: %v", benchmark, runtime, unit, err)
		}
		return r
	}
	const system = 256 << 20 // bytes that a host's own system takes: assumed, read it on the host
	const api = "MonthlyCost/workload=services/guest=go/service=api"
	host, err := costmodel.ArticleCatalogue().Find("t3.small")
	if err != nil {
		log.Fatal(err)
	}
	bill := func(name, runtime string) costmodel.Bill {
		ranged := func(unit string) costmodel.Range {
			return costmodel.Range{Value: of(api, runtime, unit).Value, Low: of(api, runtime, unit+"-low").Low, High: of(api, runtime, unit+"-high").High}
		}
		cpu := ranged("cpu-ns/req")
		if _, ok := measured[figure{api, runtime, "daemon-cpu-ns/req"}]; ok {
			cpu = cpu.Plus(ranged("daemon-cpu-ns/req"))
		}
		service := costmodel.Service{Name: name, Host: host, Headroom: 0.3, Capacity: costmodel.Capacity{
			Requests:      ranged("req/s"),
			CPUPerRequest: cpu.Scale(1e-9),
			Memory:        ranged("inst-pss-B"),
			Base:          of(api, runtime, "base-pss-B").Plus(costmodel.Exactly(system)),
		}}
		b, err := costmodel.MonthlyCost(service, costmodel.Demand{RequestsPerDay: 10e6, Peak: 10, Instances: 100}, costmodel.MeanMonth)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d instances on %d %s, bound by %s: %.2f USD a month (%.2f to %.2f), %.3f a million requests\n",
			name, b.Fleet.Instances, b.Fleet.Hosts.Value, host.Name, b.Fleet.Bound, b.USD.Value, b.USD.Low, b.USD.High, b.PerMillion.Value)
		return b
	}
	container, wasm := bill("container", "containerd"), bill("wasm", "wasmtime")

	both := func(benchmark string) costmodel.Sides {
		return costmodel.Sides{Container: of(benchmark, "containerd", "ns/op"), Wasm: of(benchmark, "wasmtime", "ns/op")}
	}
	r, err := costmodel.ArticleFramework().Recommend(
		[]costmodel.Need{{Rule: "cold-start", Limit: 50e6}, {Rule: "compute"}, {Rule: "cost"}},
		costmodel.Measured{
			"ColdStart ns/op":       both("ColdStart/workload=hello/guest=go/cache=warm"),
			"Fibonacci ns/op":       both("Fibonacci/workload=fibonacci/guest=go/n=30"),
			"MonthlyCost USD/month": {Container: container.USD, Wasm: wasm.USD},
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(r)
	// Output:
	// container: 100 instances on 2 t3.small, bound by memory: 30.37 USD a month (30.37 to 45.55), 0.100 a million requests
	// wasm: 100 instances on 2 t3.small, bound by memory: 30.37 USD a month (30.37 to 60.74), 0.100 a million requests
	// hybrid: weight 1 for containers, 1 for modules
	//   cold-start speaks for wasm: only modules keep the limit of 5e+07 (ColdStart ns/op: container 8.89592e+07, wasm 7.5547e+06)
	//   compute speaks for container: containers are 3.26 times better (Fibonacci ns/op: container 8.21555e+06, wasm 2.67923e+07)
	//   cost speaks for neither: they differ by a factor of 1, but their intervals leave open whether by more than 1.05: measure more (MonthlyCost USD/month: container 30.368, wasm 30.368)
	//   container if ColdStart ns/op of container were 1.78 times less
	//   container if the limit of cold-start were 1.78 times higher
	//   container if ColdStart ns/op of container alone kept the limit
	//   wasm if Fibonacci ns/op differed by a factor of no more than 1.05
	//   wasm if Fibonacci ns/op were better for wasm by a factor of more than 1.05, not for container by 3.26
	//   container if MonthlyCost USD/month were better for container by a factor of more than 1.05 with all of its interval
	//   wasm if MonthlyCost USD/month were better for wasm by a factor of more than 1.05 with all of its interval
	//   container if os-dependencies were needed too, or posix were needed too, or gpu were needed too, or existing-containers were needed too, or stateful were needed too, or debugging were needed too, or team were needed too
	//   wasm if edge were needed too and measured for wasm, or instances were needed too and measured for wasm, or multi-tenant were needed too, or constrained were needed too and measured for wasm, or tco were needed too and measured for wasm
}

// Where the article's 24,000 USD of development more a year pay back by its own
// formula, with the requests of an instance that its table of resources implies.
func ExampleBreakEven() {
	wasm := costmodel.Option{Service: costmodel.ArticleWasm(), TCO: costmodel.TCO{Development: 144000}}
	wasm.Service.Capacity.Requests = costmodel.Exactly(1000. / 2)
	container := costmodel.Option{Service: costmodel.ArticleContainer(), TCO: costmodel.TCO{Development: 120000}}
	container.Service.Capacity.Requests = costmodel.Exactly(1000. / 5)

	perDay, err := costmodel.BreakEven(wasm, container, costmodel.Demand{}, 100e9, costmodel.ArticleMonth)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("from %.0f million requests a day on\n", perDay.Value/1e6)
	// Output:
	// from 11578 million requests a day on
}

// The whole table of rules.
func ExampleArticleFramework() {
	f := costmodel.ArticleFramework()
	fmt.Printf("alone with %g times the other's weight\n", f.Outweigh)
	for _, r := range f.Rules {
		fmt.Printf("%-19s %-9s %g", r.Name, r.For, r.Weight)
		switch {
		case r.Must:
			fmt.Print(" must")
		case r.Limit > 0:
			fmt.Printf(" %s, limit %g", r.Metric, r.Limit)
		case r.Metric != "":
			fmt.Printf(" %s, better by %g", r.Metric, r.Margin)
		}
		if r.Group != "" {
			fmt.Printf(", of %s", r.Group)
		}
		fmt.Println()
	}
	// Output:
	// alone with 2 times the other's weight
	// os-dependencies     container 1 must
	// posix               container 1 must
	// gpu                 container 1 must
	// existing-containers container 1
	// stateful            container 1
	// debugging           container 1
	// team                container 1
	// edge                wasm      1 ImageSize image-B, better by 1.05
	// cold-start          wasm      1 ColdStart ns/op, limit 1e+07, of start
	// instances           wasm      1 Density inst-128GB, limit 1000, of memory
	// compute             wasm      1 Fibonacci ns/op, better by 1.05
	// multi-tenant        wasm      1
	// serverless          wasm      1 FirstRequest ns/op, better by 1.05, of start
	// constrained         wasm      1 Density inst-B, better by 1.05, of memory
	// tco                 wasm      1 TCO USD/year, better by 1.05, of money
	// cost                wasm      1 MonthlyCost USD/month, better by 1.05, of money
}
