package costmodel

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Choice is what is recommended.
type Choice string

const (
	Container Choice = "container"
	Wasm      Choice = "wasm"
	Hybrid    Choice = "hybrid" // containers, with modules for the parts that need what these are better at
)

// A Rule is a requirement that speaks for one side.
//
// Without a Metric it is a matter of fact: whoever needs it has that for For. With
// one it is measured, and For is only what the article says: with a Limit it speaks
// for the side that keeps it where the other does not, without for the side that
// is better by more than Margin. It then may speak for the other side, or for none.
type Rule struct {
	Name   string  `json:"name"`             // by which a Need asks for it
	For    Choice  `json:"for"`              // Container or Wasm
	Weight float64 `json:"weight"`           // beside those of the other rules; more than 0
	Must   bool    `json:"must,omitempty"`   // a side that cannot do it is out of the question
	Reason string  `json:"reason,omitempty"` // why, in a few words
	Source string  `json:"source,omitempty"` // who says so: "article" or "wasmbench"
	Group  string  `json:"group,omitempty"`  // of rules that one thing decides: the heaviest of those that speak counts for all; "" is none

	Metric string  `json:"metric,omitempty"` // benchmark and unit, as "ColdStart ns/op"; no two rules have the same; "" is a matter of fact
	Higher bool    `json:"higher,omitempty"` // more of the metric is better
	Limit  float64 `json:"limit,omitempty"`  // in the metric's unit, the value itself keeps it; 0 compares the sides
	Margin float64 `json:"margin,omitempty"` // how many times better a side must be to count, 1 or more; not with a Limit
}

// A Framework is a table of rules.
type Framework struct {
	Rules []Rule `json:"rules"`

	// Outweigh is how many times the other side's weight a side needs to be
	// recommended alone; with less both are, as a hybrid. More than 1.
	Outweigh float64 `json:"outweigh"`
}

// ReadFramework reads a framework in JSON, as json.Marshal writes one:
//
//	{"outweigh": 2, "rules": [
//		{"name": "gpu", "for": "container", "weight": 1, "must": true},
//		{"name": "cold-start", "for": "wasm", "weight": 3, "metric": "ColdStart ns/op", "limit": 1e7}
//	]}
//
// A field that is not known, a rule that is there twice or makes no sense, and a table
// without rules are errors. To begin with the article's, write ArticleFramework and change that.
func ReadFramework(r io.Reader) (Framework, error) {
	var f Framework
	if err := readStrictly(r, &f); err != nil {
		return Framework{}, fmt.Errorf("costmodel: %w: reading a framework: %w", ErrInput, err)
	}
	if len(f.Rules) == 0 {
		return Framework{}, badf("a framework without a rule")
	}
	if err := f.check(); err != nil {
		return Framework{}, err
	}
	return f, nil
}

// alike is by what factor two figures may differ and still count as the same: the
// article calls what is within 5 % similar.
const alike = 1.05

// ArticleFramework returns the article's lists of when to choose what, as rules, and
// two of this project on money.
//
// The article weighs nothing, so every Weight is 1. Three are Must, since a
// module has no way to it at all: fork, signals and shared memory of POSIX, a
// device, a distribution's programs. Limits are the article's. Where it names
// a thing that can be measured and no figure, the sides are compared, with its own 5 %
// as Margin. Outweigh is 2: a side is taken alone if it has two reasons for one of
// the other's. What is measured once is a reason once: how fast a start is, what memory an
// instance takes, and the money, of which the total cost of ownership has all, are a Group
// each. All of it can be replaced: the table is the caller's.
func ArticleFramework() Framework {
	return Framework{Outweigh: 2, Rules: []Rule{
		{Name: "os-dependencies", For: Container, Weight: 1, Must: true, Reason: "the service needs programs and libraries of an operating system", Source: "article"},
		{Name: "posix", For: Container, Weight: 1, Must: true, Reason: "WASI has part of POSIX only", Source: "article"},
		{Name: "gpu", For: Container, Weight: 1, Must: true, Reason: "a module has no way to a GPU or another device", Source: "article"},
		{Name: "existing-containers", For: Container, Weight: 1, Reason: "what runs containers is there already", Source: "article"},
		{Name: "stateful", For: Container, Weight: 1, Reason: "state lives in files and long-lived processes", Source: "article"},
		{Name: "debugging", For: Container, Weight: 1, Reason: "debuggers and profilers work as usual", Source: "article"},
		{Name: "team", For: Container, Weight: 1, Reason: "the team knows containers", Source: "article"},
		{Name: "edge", For: Wasm, Weight: 1, Reason: "small machines far away load what is small", Source: "article", Metric: "ImageSize image-B", Margin: alike},
		{Name: "cold-start", For: Wasm, Weight: 1, Reason: "a start must be fast", Source: "article", Group: "start", Metric: "ColdStart ns/op", Limit: 10e6},
		{Name: "instances", For: Wasm, Weight: 1, Reason: "a host must hold many instances", Source: "article", Group: "memory", Metric: "Density inst-128GB", Higher: true, Limit: 1000},
		{Name: "compute", For: Wasm, Weight: 1, Reason: "most of the time is spent computing", Source: "article", Metric: "Fibonacci ns/op", Margin: alike},
		{Name: "multi-tenant", For: Wasm, Weight: 1, Reason: "each tenant gets an instance that reaches nothing it was not given", Source: "article"},
		{Name: "serverless", For: Wasm, Weight: 1, Reason: "instances start when they are asked", Source: "article", Group: "start", Metric: "FirstRequest ns/op", Margin: alike},
		{Name: "constrained", For: Wasm, Weight: 1, Reason: "memory is scarce", Source: "article", Group: "memory", Metric: "Density inst-B", Margin: alike},
		{Name: "tco", For: Wasm, Weight: 1, Reason: "what it costs with the people matters", Source: "wasmbench", Group: "money", Metric: "TCO USD/year", Margin: alike},
		{Name: "cost", For: Wasm, Weight: 1, Reason: "the bill of the hosts matters", Source: "wasmbench", Group: "money", Metric: "MonthlyCost USD/month", Margin: alike},
	}}
}

// rule returns the one of that name.
func (f Framework) rule(name string) (Rule, error) {
	i := slices.IndexFunc(f.Rules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, badf("no rule %q in the framework", name)
	}
	return f.Rules[i], nil
}

func (f Framework) check() error {
	if !finite(f.Outweigh) || f.Outweigh <= 1 {
		return badf("a side that outweighs with %v times the other's weight: it takes more than 1", f.Outweigh)
	}
	seen, metric, weight := map[string]bool{}, map[string]string{}, 0.
	for _, r := range f.Rules {
		switch other, taken := metric[r.Metric]; {
		case strings.TrimSpace(r.Name) == "":
			return badf("a rule without a name")
		case taken && r.Metric != "":
			return badf("rules %s and %s are of the same metric, %s: what is measured once is a reason once", other, r.Name, r.Metric)
		case seen[r.Name]:
			return badf("rule %s is there twice", r.Name)
		case r.For != Container && r.For != Wasm:
			return badf("rule %s is for %q: %s or %s", r.Name, r.For, Container, Wasm)
		case !finite(r.Weight) || r.Weight <= 0:
			return badf("rule %s has a weight of %v", r.Name, r.Weight)
		case !finite(r.Limit) || r.Limit < 0:
			return badf("rule %s has a limit of %v", r.Name, r.Limit)
		case r.Metric != "" && r.Limit == 0 && !(finite(r.Margin) && r.Margin >= 1):
			return badf("rule %s has neither a limit nor a margin of 1 or more", r.Name)
		case r.Must && r.Group != "":
			return badf("rule %s is a must and in a group: what must be counts by itself", r.Name)
		case r.Metric == "" && (r.Limit != 0 || r.Margin != 0 || r.Higher):
			return badf("rule %s has no metric, and so no limit, margin or better end of one", r.Name)
		case r.Limit > 0 && r.Margin != 0:
			return badf("rule %s has a limit and a margin: with a limit the sides are not compared", r.Name)
		}
		seen[r.Name] = true
		metric[r.Metric] = r.Name
		weight += r.Weight
	}
	if !finite(weight * f.Outweigh) {
		return badf("weights of %v in all, outweighed with %v times as much: more than can be counted", weight, f.Outweigh)
	}
	return nil
}
