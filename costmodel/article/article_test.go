package article_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/costmodel/article"
)

var update = flag.Bool("update", false, "write the findings to testdata/README.md")

const (
	figuresFile  = "../../testdata/article.json"
	findingsFile = "../../testdata/README.md"
)

func figures(t testing.TB) article.Figures {
	t.Helper()
	fs, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func read() (article.Figures, error) {
	text, err := os.ReadFile(figuresFile)
	if err != nil {
		return article.Figures{}, err
	}
	return article.Read(bytes.NewReader(text))
}

// Every value is what its text says; a text with factors says their product.
func TestTexts(t *testing.T) {
	for _, f := range figures(t).All {
		text := strings.NewReplacer(",", "", "_", "", "$", "").Replace(f.Text)
		var numbers []float64
		for _, s := range strings.FieldsFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }) {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatalf("%s: %v", f.Name(), err)
			}
			numbers = append(numbers, n)
		}
		if strings.Contains(text, "*") {
			product := 1.
			for _, n := range numbers {
				product *= n
			}
			numbers = []float64{product}
		}
		want := []float64{math.Abs(f.Value)}
		switch {
		case f.IsRange() && f.Text[0] == '<':
			want = []float64{f.High}
		case f.IsRange():
			want = []float64{f.Low, f.High}
		}
		if !slices.Equal(numbers, want) || f.Text[0] == '-' != (f.Value < 0) && !f.IsRange() {
			t.Errorf("%s: %q is recorded as %v, %v to %v", f.Name(), f.Text, f.Value, f.Low, f.High)
		}
	}
}

// The constants of package costmodel are the article's.
func TestConstants(t *testing.T) {
	fs := figures(t)
	const costs = "Infrastructure Cost Comparison"
	for _, p := range []struct {
		system  string
		service costmodel.Service
		tco     costmodel.TCO
	}{
		{"container", costmodel.ArticleContainer(), costmodel.ArticleContainerTCO()},
		{"wasm", costmodel.ArticleWasm(), costmodel.ArticleWasmTCO()},
	} {
		host := p.service.Host
		for _, c := range []struct {
			table, row, metric string
			got                float64
		}{
			{costs, host.Name, "vcpu", host.VCPU},
			{costs, host.Name, "memory", host.MemoryGiB},
			{costs, host.Name, "price", host.USDPerHour},
			{costs, host.Name, "instances_per_host", float64(p.service.PerHost)},
			{"Total Cost of Ownership", "Infrastructure", "cost", p.tco.Infrastructure.Value},
			{"Total Cost of Ownership", "Operations", "cost", p.tco.Operations},
			{"Total Cost of Ownership", "Development", "cost", p.tco.Development},
			{"Total Cost of Ownership", "Monitoring", "cost", p.tco.Monitoring},
		} {
			f, err := fs.Find(c.table, c.row, p.system, c.metric)
			if err != nil {
				t.Error(err)
			} else if f.Value != c.got {
				t.Errorf("%s is %v in the article and %v in package costmodel", f.Name(), f.Value, c.got)
			}
		}
	}
	hours, err := fs.Find(costs, "month", "", "hours of a day")
	days, err2 := fs.Find(costs, "month", "", "days of a month")
	if err != nil || err2 != nil || hours.Value*days.Value != float64(costmodel.ArticleMonth) {
		t.Error(hours.Value, days.Value, err, err2)
	}
	framework := costmodel.ArticleFramework()
	for name, metric := range map[string]string{"cold-start": "fast startup", "instances": "high density"} {
		f, err := fs.Find("Decision Framework", "When to Choose WASM", "wasm", metric)
		i := slices.IndexFunc(framework.Rules, func(r costmodel.Rule) bool { return r.Name == name })
		if err != nil || i < 0 {
			t.Fatal(name, i, err)
		}
		want := f.Value
		if f.IsRange() {
			want = f.High * 1e6 // ms, and the rule has ns
		}
		if got := framework.Rules[i].Limit; got != want {
			t.Errorf("%s has a limit of %v, the article of %v", name, got, want)
		}
	}
}

// Every monthly cost and every cell of the total cost of ownership that follows
// from the article's formula and constants is reproduced to the dollar, its cents
// cut off as the article does; the others are these.
func TestMoney(t *testing.T) {
	checks, err := article.Arithmetic(figures(t))
	if err != nil {
		t.Fatal(err)
	}
	got := map[article.Verdict][]string{}
	for _, c := range checks {
		if f := c.Figure; (f.Unit == "USD/month" || f.Unit == "USD/year") && (strings.Contains(c.From, "nearest whole number of hosts") || strings.Contains(c.From, "sum of") || c.From == "both costs") {
			got[c.Verdict] = append(got[c.Verdict], strings.TrimSpace(f.Row+" "+f.System)+" "+f.Text)
		}
	}
	want := map[article.Verdict][]string{
		article.Follows: {
			"API Service container $2,995",
			"Total TCO container $287,640", "Total TCO wasm $197,528",
			"Infrastructure -$86,112", "Operations -$24,000", "Development +$24,000", "Monitoring -$4,000", "Total TCO -$90,112",
		},
		article.Cut: {
			"Web Server container $1,497", "Batch Process container $4,492", "Microservices container $8,985",
			"Web Server wasm $299", "Microservices wasm $1,347",
		},
		article.Fails: {
			"API Service wasm $448", "Batch Process wasm $897",
			"Infrastructure container $107,640", "Infrastructure container $107,640", // by its months, by the formula
			"Infrastructure wasm $21,528", "Infrastructure wasm $21,528",
		},
	}
	for verdict := range want {
		if !slices.Equal(got[verdict], want[verdict]) {
			t.Errorf("%s:\n got %q\nwant %q", verdict, got[verdict], want[verdict])
		}
	}
}

// A cell that is changed is found, whatever it is: every checked figure is changed
// by a tenth, and what followed does no more.
func TestChangedCellsAreFound(t *testing.T) {
	fs := figures(t)
	checks, err := article.Arithmetic(fs)
	if err != nil {
		t.Fatal(err)
	}
	followed := map[string]bool{}
	for _, c := range checks {
		if c.Verdict != article.Fails && !c.Figure.IsRange() && c.Figure.Metric != "instances_per_host" && c.Figure.Metric != "claim" {
			followed[c.Figure.Name()] = true
		}
	}
	if len(followed) < 60 {
		t.Fatalf("%d figures are checked", len(followed))
	}
	for name := range followed {
		text, err := os.ReadFile(figuresFile)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := article.Read(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(changed.All, func(f article.Figure) bool { return f.Name() == name })
		changed.Replace(i, changed.All[i].Value*1.1)
		after, err := article.Arithmetic(changed)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(after, func(c article.Check) bool { return c.Figure.Name() == name && c.Verdict == article.Fails }) {
			t.Errorf("%s is ten per cent more, and still follows", name)
		}
	}
}

// What a verdict depends on: other figures turn it, and only those beyond a bound.
func TestVerdictsTurn(t *testing.T) {
	const (
		hello     = "Density Results / Hello World / container / instances"
		baseline  = "Performance Metrics Comparison / Memory Baseline / container / memory baseline"
		apiModule = "Monthly Infrastructure Costs / API Service / wasm / cost"
		bound     = "CPU Efficiency Comparison / CPU Bound / container / cpu"
		latency   = "Network Latency / p99.9 / wasm / latency"
	)
	const host = 0.0208 * 720
	for _, c := range []struct {
		name    string
		changed map[string]float64
		figure  string
		from    string // part of what the check says of itself
		want    article.Verdict
	}{
		{"utilisation as printed", nil, bound, "Fibonacci", article.Fails},
		{"utilisation within", map[string]float64{"CPU Performance Results / Container (JIT) / container / cpu": 98, "CPU Performance Results / Container (Int) / container / cpu": 95}, bound, "Fibonacci", article.Follows},
		{"native utilisation, digits cut off", nil, "CPU Efficiency Comparison / CPU Bound / native / cpu", "Fibonacci", article.Cut},

		{"ten requests on each connection", nil, latency, "Little", article.Fails},
		{"one request on each connection", map[string]float64{"Network Performance / code / pipelining": 1}, latency, "Little", article.Follows},
		{"half of the mean from percentiles", map[string]float64{"Network Performance / code / connections": 28}, latency, "Little", article.Follows},
		{"less than half of it", map[string]float64{"Network Performance / code / connections": 29}, latency, "Little", article.Fails},
		{"a mean below what they allow", map[string]float64{"Network Performance / code / connections": 4}, latency, "Little", article.Fails},

		{"most containers as printed", nil, baseline, "hello worlds", article.Follows},
		{"as many as take the upper end", map[string]float64{hello: 656}, baseline, "hello worlds", article.Follows},
		{"fewer", map[string]float64{hello: 655}, baseline, "hello worlds", article.Fails},

		{"a number between two steps", nil, hello, "steps", article.Fails},
		{"a step", map[string]float64{hello: 500}, hello, "steps", article.Follows},

		{"another host", map[string]float64{"Testing Environment / memory / memory": 64}, "Density Results / heading / memory of the host", "testing environment", article.Fails},
		{"a buffer of decimal megabytes", map[string]float64{"File I/O Benchmarks / code / buffer size": 100e6}, "File I/O Benchmarks / code / file size", "buffer", article.Fails},

		// 1000 containers at most; six hosts have 1001 modules at least, seven 1201.
		{"a module more than containers", map[string]float64{apiModule: 6 * host}, apiModule, "fewest instances", article.Follows},
		{"more modules than do the same", map[string]float64{apiModule: 7 * host}, apiModule, "fewest instances", article.Fails},
		{"modules that do less", map[string]float64{apiModule: 7 * host, "HTTP Performance / Static Files / wasm / requests": 32000}, apiModule, "fewest instances", article.Follows},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := figures(t)
			for name, value := range c.changed {
				i := slices.IndexFunc(fs.All, func(f article.Figure) bool { return f.Name() == name })
				if i < 0 {
					t.Fatalf("no figure %s", name)
				}
				fs.Replace(i, value)
			}
			checks, err := article.Arithmetic(fs)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(checks, func(k article.Check) bool { return k.Figure.Name() == c.figure && strings.Contains(k.From, c.from) })
			if i < 0 {
				t.Fatalf("no check of %s from %q", c.figure, c.from)
			}
			if k := checks[i]; k.Verdict != c.want {
				t.Errorf("%s, gives %s: %s; want %s", k.Figure.Name(), k.Gives, k.Verdict, c.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	const good = `{"table":"T","row":"R","system":"","metric":"M","text":"5","value":5,"unit":"ms"}`
	if _, err := article.Read(strings.NewReader("[" + good + "]")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no list":       good,
		"twice":         "[" + good + "," + good + "]",
		"unknown field": `[{"table":"T","row":"R","metric":"M","text":"5","value":5,"unit":"ms","note":"x"}]`,
		"no unit":       `[{"table":"T","row":"R","metric":"M","text":"5","value":5}]`,
		"no value":      `[{"table":"T","row":"R","metric":"M","text":"5","unit":"ms"}]`,
		"both":          `[{"table":"T","row":"R","metric":"M","text":"5","value":5,"low":1,"high":2,"unit":"ms"}]`,
		"upside down":   `[{"table":"T","row":"R","metric":"M","text":"2-1","low":2,"high":1,"unit":"ms"}]`,
		"something on":  "[" + good + "] [",
	} {
		if _, err := article.Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	empty, err := article.Read(strings.NewReader("[]"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := article.Arithmetic(empty); err == nil || !strings.Contains(err.Error(), "Cold Start") {
		t.Errorf("figures that are not there: %v", err)
	}
}

// The findings are those of the documentation. -update writes them.
func TestFindings(t *testing.T) {
	checks, err := article.Arithmetic(figures(t))
	if err != nil {
		t.Fatal(err)
	}
	found := article.Findings(checks)
	count := map[article.Verdict]int{}
	for _, c := range checks {
		count[c.Verdict]++
	}
	const begin, end = "<!-- findings -->\n", "<!-- end of findings -->"
	doc, err := os.ReadFile(findingsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the findings", findingsFile)
	}
	want := before + begin + fmt.Sprintf("Of %d checks %d follow, %d only if digits are cut off, and %d do not.\n\n", len(checks), count[article.Follows], count[article.Cut], count[article.Fails]) +
		article.Table(found) + end + after
	if *update {
		if err := os.WriteFile(findingsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(doc) {
		t.Errorf("%s is not what the figures give: go test ./costmodel/article -update", findingsFile)
	}
}

func ExampleArithmetic() {
	fs, err := read()
	if err != nil {
		fmt.Println(err)
		return
	}
	checks, err := article.Arithmetic(fs)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range article.Findings(checks) {
		if c.Figure.Table == "Optimization Impact" {
			fmt.Printf("%s: printed %s, gives %s: %s\n", c.Figure.Row, c.Figure.Text, c.Gives, c.Verdict)
		}
	}
	// Output:
	// AOT compile: printed 77%, gives 77.5: cut off
	// Strip symbols: printed 81%, gives 54.444: does not follow
}
