package costmodel_test

import (
	"fmt"
	"log"
	"os"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// figures are those of a benchmark output file, by benchmark, runtime and unit as
// the suite prints them.
func figures(file string) (map[[3]string][]float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[[3]string][]float64{}
	for r := benchfmt.NewReader(f, file); r.Scan(); {
		result, ok := r.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		var runtime string
		_, parts := result.Name.Parts()
		for _, part := range parts {
			if value, ok := strings.CutPrefix(string(part), "/runtime="); ok {
				runtime = value
			}
		}
		for _, v := range result.Values {
			value, unit := v.Value, v.Unit
			if v.OrigUnit != "" {
				value, unit = v.OrigValue, v.OrigUnit // ns and not seconds
			}
			key := [3]string{string(result.Name.Base()), runtime, unit}
			all[key] = append(all[key], value)
		}
	}
	return all, nil
}

// A month of a JSON service with ten million requests a day, in containers and as
// modules, and what to choose, from what one run of the suite printed.
func Example() {
	measured, err := figures("../testdata/sample.txt")
	if err != nil {
		log.Fatal(err)
	}
	figure := func(benchmark, runtime, unit string) costmodel.Range {
		r, err := costmodel.Spread(measured[[3]string{benchmark, runtime, unit}]...)
		if err != nil {
			log.Fatalf("%s of %s, %s: %v", benchmark, runtime, unit, err)
		}
		return r
	}
	host, err := costmodel.ArticleCatalogue().Find("t3.small")
	if err != nil {
		log.Fatal(err)
	}
	bill := func(name, runtime string) costmodel.Bill {
		cpu := figure("HTTP", runtime, "cpu-ns/req").Value / 1e9
		if daemon := measured[[3]string{"HTTP", runtime, "daemon-cpu-ns/req"}]; len(daemon) > 0 {
			cpu += daemon[0] / 1e9
		}
		service := costmodel.Service{Name: name, Host: host, Headroom: 0.3, Capacity: costmodel.Capacity{
			Requests:      figure("HTTP", runtime, "req/s"),
			CPUPerRequest: costmodel.Exactly(cpu),
			Memory: costmodel.Range{
				Value: figure("Density", runtime, "inst-B").Value,
				Low:   figure("Density", runtime, "inst-low-B").Value,
				High:  figure("Density", runtime, "inst-high-B").Value,
			},
			Base: figure("Density", runtime, "base-B"),
		}}
		b, err := costmodel.MonthlyCost(service, costmodel.Demand{RequestsPerDay: 10e6, Peak: 10, Instances: 700}, costmodel.MeanMonth)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d instances on %d %s, bound by %s: %.2f USD a month (%.2f to %.2f), %.3f a million requests\n",
			name, b.Fleet.Instances.Value, b.Fleet.Hosts.Value, host.Name, b.Fleet.Bound, b.USD.Value, b.USD.Low, b.USD.High, b.PerMillion.Value)
		return b
	}
	container, wasm := bill("container", "containerd"), bill("wasm", "wasmtime")

	figuresOf := func(benchmark, unit string) costmodel.Sides {
		return costmodel.Sides{Container: figure(benchmark, "containerd", unit), Wasm: figure(benchmark, "wasmtime", unit)}
	}
	r, err := costmodel.ArticleFramework().Recommend(
		[]costmodel.Need{{Rule: "cold-start", Limit: 50e6}, {Rule: "compute"}, {Rule: "cost"}},
		costmodel.Measured{
			"ColdStart ns/op":       figuresOf("ColdStart", "ns/op"),
			"Fibonacci ns/op":       figuresOf("Fibonacci", "ns/op"),
			"MonthlyCost USD/month": {Container: container.USD, Wasm: wasm.USD},
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(r)
	// Output:
	// container: 700 instances on 3 t3.small, bound by memory: 45.55 USD a month (45.55 to 60.74), 0.150 a million requests
	// wasm: 700 instances on 2 t3.small, bound by memory: 30.37 USD a month (30.37 to 30.37), 0.100 a million requests
	// wasm: weight 1 for containers, 2 for modules
	//   cold-start speaks for wasm: only modules keep the limit of 5e+07 (ColdStart ns/op: container 1.44834e+08, wasm 1.42595e+07)
	//   compute speaks for container: containers are 4.78 times better (Fibonacci ns/op: container 8.37816e+06, wasm 4.00858e+07)
	//   cost speaks for wasm: modules are 1.5 times better (MonthlyCost USD/month: container 45.552, wasm 30.368)
	//   hybrid if ColdStart ns/op of container were 2.9 times less, or its limit as much higher
	//   container if ColdStart ns/op of container alone kept the limit
	//   hybrid if MonthlyCost USD/month differed by a factor of no more than 1.05
	//   container if MonthlyCost USD/month were better for container by a factor of more than 1.05, not for wasm by 1.5
	//   hybrid if os-dependencies were needed too, or posix were needed too, or gpu were needed too, or existing-containers were needed too, or stateful were needed too, or debugging were needed too, or team were needed too
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
	// cold-start          wasm      1 ColdStart ns/op, limit 1e+07
	// instances           wasm      1 Density inst-128GB, limit 1000
	// compute             wasm      1 Fibonacci ns/op, better by 1.05
	// multi-tenant        wasm      1
	// serverless          wasm      1 FirstRequest ns/op, better by 1.05
	// constrained         wasm      1 Density inst-B, better by 1.05
	// cost                wasm      1 MonthlyCost USD/month, better by 1.05
	// tco                 wasm      1 TCO USD/year, better by 1.05
}
