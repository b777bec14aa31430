package costmodel_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

func needs(names ...string) []costmodel.Need {
	var n []costmodel.Need
	for _, name := range names {
		n = append(n, costmodel.Need{Rule: name})
	}
	return n
}

func sides(container, wasm float64) costmodel.Sides {
	return costmodel.Sides{Container: costmodel.Exactly(container), Wasm: costmodel.Exactly(wasm)}
}

// articleSays is what the article's tables have.
var articleSays = costmodel.Measured{
	"ColdStart ns/op":       sides(3.2e9, 5e6),
	"Density inst-128GB":    sides(750, 15000),
	"Fibonacci ns/op":       sides(431e6, 448e6),
	"FirstRequest ns/op":    sides(3650e6, 5.8e6),
	"ImageSize image-B":     sides(180e6, 8e6),
	"Density inst-B":        sides(170e6, 8e6),
	"MonthlyCost USD/month": sides(2995, 448),
	"TCO USD/year":          sides(287640, 197528),
}

func TestRecommend(t *testing.T) {
	fast := costmodel.Measured{"ColdStart ns/op": sides(5e6, 2e6)}
	tests := []struct {
		name            string
		needs           []costmodel.Need
		measured        costmodel.Measured
		choice          costmodel.Choice
		container, wasm float64
		says            string
	}{
		{"facts for containers", needs("team", "stateful"), nil, costmodel.Container, 2, 0, "speaks for container: the team knows"},
		{"the article's figures for modules", needs("cold-start", "instances", "constrained"), articleSays, costmodel.Wasm, 0, 2, "only modules keep the limit of 1e+07"},
		{"one measurement is one reason", needs("constrained", "instances", "team"), articleSays, costmodel.Hybrid, 1, 1, "constrained speaks for wasm, but instances counts in its place: modules are 21.2 times better"},
		{"the year has the months in it", needs("cost", "tco"), costmodel.Measured{"MonthlyCost USD/month": sides(2, 1), "TCO USD/year": sides(100, 200)},
			costmodel.Container, 1, 0, "cost speaks for wasm, but tco counts in its place"},
		{"one that leaves it open does not count for others", needs("cold-start", "serverless"), costmodel.Measured{"ColdStart ns/op": sides(5e6, 2e6), "FirstRequest ns/op": sides(9e6, 3e6)},
			costmodel.Wasm, 0, 1, "serverless speaks for wasm: modules are 3 times better"},
		{"one for each", needs("cold-start", "team"), articleSays, costmodel.Hybrid, 1, 1, ""},
		{"two to one", needs("cold-start", "cost", "team"), articleSays, costmodel.Wasm, 1, 2, "modules are 6.69 times better"},
		{"one to two", needs("cold-start", "debugging", "team"), articleSays, costmodel.Container, 2, 1, ""},
		{"a must is not outweighed", needs("cold-start", "instances", "cost", "gpu"), articleSays, costmodel.Hybrid, 1, 3, ""},
		{"alike counts for nobody", needs("compute", "team"), articleSays, costmodel.Container, 1, 0, "compute speaks for neither: they differ by a factor of 1.04, which counts as alike"},
		{"both keep the limit", needs("cold-start", "multi-tenant"), fast, costmodel.Wasm, 0, 1, "both keep the limit"},
		{"another limit", []costmodel.Need{{Rule: "cold-start", Limit: 3e6}}, fast, costmodel.Wasm, 0, 1, "only modules keep the limit of 3e+06"},
		{"neither keeps it", []costmodel.Need{{Rule: "cold-start", Limit: 1e6}, {Rule: "team"}}, fast, costmodel.Container, 1, 0, "neither keeps"},
		{"measured against the article", needs("cold-start"), costmodel.Measured{"ColdStart ns/op": sides(8e6, 30e6)}, costmodel.Container, 1, 0, "only containers keep"},
		{"compared against the article", needs("compute"), costmodel.Measured{"Fibonacci ns/op": sides(8.4e6, 40e6)}, costmodel.Container, 1, 0, "containers are 4.76 times better"},
		{"not measured", needs("compute", "team"), nil, costmodel.Container, 1, 0, "Fibonacci ns/op of container was not measured"},
		{"one side not measured", needs("compute", "team"), costmodel.Measured{"Fibonacci ns/op": {Container: costmodel.Exactly(1)}}, costmodel.Container, 1, 0, "Fibonacci ns/op of wasm was not measured"},
		{"an interval over the limit", needs("cold-start", "team"), costmodel.Measured{"ColdStart ns/op": {Container: costmodel.Exactly(1e9), Wasm: costmodel.Range{Value: 8e6, Low: 7e6, High: 12e6}}},
			costmodel.Container, 1, 0, "an interval includes the limit"},
		{"alike by value and not for sure", needs("compute", "team"), costmodel.Measured{"Fibonacci ns/op": {Container: costmodel.Range{Value: 10, Low: 9, High: 13}, Wasm: costmodel.Range{Value: 10, Low: 9, High: 13}}},
			costmodel.Container, 1, 0, "they differ by a factor of 1, but their intervals leave open"},
		{"alike for sure", needs("compute", "team"), costmodel.Measured{"Fibonacci ns/op": {Container: costmodel.Range{Value: 10, Low: 9.9, High: 10.1}, Wasm: costmodel.Range{Value: 10, Low: 9.9, High: 10.1}}},
			costmodel.Container, 1, 0, "counts as alike"},
		{"intervals that meet", needs("compute", "team"), costmodel.Measured{"Fibonacci ns/op": {Container: costmodel.Range{Value: 10, Low: 9, High: 13}, Wasm: costmodel.Range{Value: 12, Low: 11, High: 14}}},
			costmodel.Container, 1, 0, "leave open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := costmodel.ArticleFramework().Recommend(tt.needs, tt.measured)
			if err != nil {
				t.Fatal(err)
			}
			if r.Choice != tt.choice || r.ContainerWeight != tt.container || r.WasmWeight != tt.wasm || !strings.Contains(r.String(), tt.says) || len(r.Verdicts) != len(tt.needs) {
				t.Errorf("%s want %s, %v and %v, %q", r, tt.choice, tt.container, tt.wasm, tt.says)
			}
			if len(r.Flips) == 0 {
				t.Error("nothing would change it")
			}
		})
	}
}

func TestRecommendRefuses(t *testing.T) {
	f := costmodel.ArticleFramework()
	for name, asked := range map[string][]costmodel.Need{
		"unknown":             needs("magic"),
		"twice":               needs("team", "team"),
		"a limit of a fact":   {{Rule: "team", Limit: 3}},
		"a negative limit":    {{Rule: "cold-start", Limit: -3}},
		"a limit that is NaN": {{Rule: "cold-start", Limit: math.NaN()}},
	} {
		if _, err := f.Recommend(asked, articleSays); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]costmodel.Sides{
		"negative": sides(-1, 1), "NaN": sides(1, math.NaN()), "infinite": sides(math.Inf(1), 1),
		"no value": {Container: costmodel.Range{High: 3}, Wasm: costmodel.Exactly(1)},
	} {
		if _, err := f.Recommend(needs("cost"), costmodel.Measured{"MonthlyCost USD/month": s}); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("a measurement that is %s: %v", name, err)
		}
	}
	for name, asked := range map[string][]costmodel.Need{"nothing asked": nil, "nothing measured": needs("cold-start", "cost")} {
		if r, err := f.Recommend(asked, nil); !errors.Is(err, costmodel.ErrUndecided) || len(r.Verdicts) != len(asked) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for name, change := range map[string]func(*costmodel.Framework){
		"outweigh":            func(f *costmodel.Framework) { f.Outweigh = 1 },
		"no name":             func(f *costmodel.Framework) { f.Rules[0].Name = "" },
		"a name twice":        func(f *costmodel.Framework) { f.Rules[0].Name = f.Rules[1].Name },
		"for hybrid":          func(f *costmodel.Framework) { f.Rules[0].For = costmodel.Hybrid },
		"no weight":           func(f *costmodel.Framework) { f.Rules[0].Weight = 0 },
		"weight NaN":          func(f *costmodel.Framework) { f.Rules[0].Weight = math.NaN() },
		"no limit at all":     func(f *costmodel.Framework) { f.Rules[0].Metric = "M" },
		"limit of a fact":     func(f *costmodel.Framework) { f.Rules[0].Limit = 1 },
		"a name of spaces":    func(f *costmodel.Framework) { f.Rules[0].Name = " " },
		"a metric twice":      func(f *costmodel.Framework) { f.Rules[7].Metric = f.Rules[8].Metric },
		"limit and margin":    func(f *costmodel.Framework) { f.Rules[8].Margin = 2 },
		"higher of a fact":    func(f *costmodel.Framework) { f.Rules[0].Higher = true },
		"weights without end": func(f *costmodel.Framework) { f.Rules[0].Weight, f.Rules[1].Weight = 1e308, 1e308 },
		"must of a group":     func(f *costmodel.Framework) { f.Rules[0].Group = "start" },
	} {
		f := costmodel.ArticleFramework()
		change(&f)
		if _, err := f.Recommend(needs("team"), nil); !errors.Is(err, costmodel.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A side that has exactly as many times the weight is taken, in whatever order its needs
// come and however their weights are rounded.
func TestExactlyOutweighed(t *testing.T) {
	f := costmodel.Framework{Outweigh: 2, Rules: []costmodel.Rule{
		{Name: "a", For: costmodel.Wasm, Weight: 0.1}, {Name: "b", For: costmodel.Wasm, Weight: 0.2}, {Name: "c", For: costmodel.Wasm, Weight: 0.3},
		{Name: "whole", For: costmodel.Container, Weight: 1.2},
	}}
	for _, asked := range [][]costmodel.Need{needs("a", "b", "c", "whole"), needs("whole", "c", "b", "a")} {
		if r, err := f.Recommend(asked, nil); err != nil || r.Choice != costmodel.Container {
			t.Errorf("%s, %v", r, err)
		}
	}
}

// Of a group the heaviest counts, wherever it is asked for.
func TestGroups(t *testing.T) {
	f := costmodel.ArticleFramework()
	for i := range f.Rules {
		if f.Rules[i].Name == "serverless" {
			f.Rules[i].Weight = 4
		}
	}
	for _, asked := range [][]costmodel.Need{needs("cold-start", "serverless", "team"), needs("serverless", "team", "cold-start")} {
		r, err := f.Recommend(asked, articleSays)
		if err != nil || r.ContainerWeight != 1 || r.WasmWeight != 4 || !strings.Contains(r.String(), "cold-start speaks for wasm, but serverless counts in its place") {
			t.Errorf("%s, %v", r, err)
		}
	}
}

// A weight that is changed changes the choice: nothing else decides.
func TestWeights(t *testing.T) {
	f := costmodel.ArticleFramework()
	for i := range f.Rules {
		if f.Rules[i].Name == "team" {
			f.Rules[i].Weight = 6
		}
	}
	if r, err := f.Recommend(needs("cold-start", "instances", "cost", "team"), articleSays); err != nil || r.Choice != costmodel.Container || r.ContainerWeight != 6 {
		t.Errorf("%s, %v", r, err)
	}
	f.Outweigh = 3
	if r, err := f.Recommend(needs("cold-start", "instances", "cost", "team"), articleSays); err != nil || r.Choice != costmodel.Hybrid {
		t.Errorf("%s, %v", r, err)
	}
}
