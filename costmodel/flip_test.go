package costmodel_test

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/costmodel"
)

// A situation is what a recommendation is made from.
type situation struct {
	costmodel.Framework
	needs    []costmodel.Need
	measured costmodel.Measured
}

func (s situation) recommend() (costmodel.Recommendation, error) {
	return s.Recommend(s.needs, s.measured)
}

// limit is a rule's, as it is needed; 1 where it has none.
func (s situation) limit(r costmodel.Rule) float64 {
	for _, n := range s.needs {
		if n.Rule == r.Name && n.Limit > 0 {
			return n.Limit
		}
	}
	return max(r.Limit, 1)
}

// speak changes the figures of a rule so that it speaks for a side, or for none.
func (s situation) speak(r costmodel.Rule, side string) {
	better, worse := s.limit(r)/2, s.limit(r)*2
	if r.Higher {
		better, worse = worse, better
	}
	switch costmodel.Choice(side) {
	case costmodel.Container:
		s.measured[r.Metric] = sides(better, worse)
	case costmodel.Wasm:
		s.measured[r.Metric] = sides(worse, better)
	default:
		s.measured[r.Metric] = sides(better, better)
	}
}

// says are the ways in which flips say what would have to be so: name or metric
// first, then the side. Where that is a factor it is done as many times over.
var says = []struct {
	pattern *regexp.Regexp
	do      func(s *situation, r costmodel.Rule, said []string, times float64)
}{
	{regexp.MustCompile(`^(\S+) were not needed$`), func(s *situation, r costmodel.Rule, _ []string, _ float64) {
		s.needs = slices.DeleteFunc(s.needs, func(n costmodel.Need) bool { return n.Rule == r.Name })
	}},
	{regexp.MustCompile(`^(\S+) were needed too(?: and measured for (\S+))?$`), func(s *situation, r costmodel.Rule, said []string, _ float64) {
		s.needs = append(s.needs, costmodel.Need{Rule: r.Name})
		if said[2] != "" {
			s.speak(r, said[2])
		}
	}},
	{regexp.MustCompile(`^(\S+ \S+) differed by a factor of no more than \S+$`), func(s *situation, r costmodel.Rule, _ []string, _ float64) { s.speak(r, "") }},
	{regexp.MustCompile(`^(\S+ \S+) were better for (\S+) by a factor of more than [^,]+(?:, not for \S+ by \S+)?$`), speakFor},
	{regexp.MustCompile(`^(\S+ \S+) of (\S+) alone kept the limit$`), speakFor},
	{regexp.MustCompile(`^(\S+ \S+) were measured on both sides and spoke for (\S+)$`), speakFor},
	{regexp.MustCompile(`^(\S+ \S+) of (\S+) were (\S+) times (less|more)$`), nearer},
	{regexp.MustCompile(`^the limit of (\S+) were (\S+) times (higher|lower)$`), limitNearer},
}

func speakFor(s *situation, r costmodel.Rule, said []string, _ float64) { s.speak(r, said[2]) }

func nearer(s *situation, r costmodel.Rule, said []string, times float64) {
	by := factor(said[3], times, said[4] == "less")
	both := s.measured[r.Metric]
	side := &both.Container
	if said[2] == string(costmodel.Wasm) {
		side = &both.Wasm
	}
	*side = side.Scale(by)
	s.measured[r.Metric] = both
}

func limitNearer(s *situation, r costmodel.Rule, said []string, times float64) {
	i := slices.IndexFunc(s.needs, func(n costmodel.Need) bool { return n.Rule == r.Name })
	s.needs[i].Limit = s.limit(r) * factor(said[2], times, said[3] == "lower")
}

// factor is what is said, so many times over, or one by it.
func factor(said string, times float64, less bool) float64 {
	by, _ := strconv.ParseFloat(said, 64) // what is no number changes nothing
	if by *= times; less {
		by = 1 / by
	}
	return by
}

// after is the choice when all of it is so.
func (s situation) after(t *testing.T, what []string, times float64) costmodel.Choice {
	t.Helper()
	s.needs, s.measured = slices.Clone(s.needs), maps.Clone(s.measured)
	for _, w := range what {
		known := false
		for _, way := range says {
			said := way.pattern.FindStringSubmatch(w)
			if said == nil {
				continue
			}
			i := slices.IndexFunc(s.Rules, func(r costmodel.Rule) bool { return r.Name == said[1] || r.Metric == said[1] })
			if i < 0 {
				t.Fatalf("%q is of no rule", w)
			}
			way.do(&s, s.Rules[i], said, times)
			known = true
		}
		if !known {
			t.Fatalf("%q is nothing that this test knows", w)
		}
	}
	r, err := s.recommend()
	if err != nil && !errors.Is(err, costmodel.ErrUndecided) {
		t.Fatalf("%v: %v", what, err)
	}
	return r.Choice
}

// check tells whether each flip leads where it says, with all that it says and with no
// less.
func (s situation) check(t *testing.T, met map[string]int) {
	t.Helper()
	r, err := s.recommend()
	if errors.Is(err, costmodel.ErrUndecided) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, flip := range r.Flips {
		if flip.To == r.Choice {
			t.Errorf("a flip to the same: %v of\n%s", flip, r)
		}
		// A factor is what it takes, to three digits.
		if to := s.after(t, flip.What, 1); to != flip.To {
			t.Errorf("%v leads to %q:\n%s", flip, to, r)
		}
		if to := s.after(t, flip.What, 0.99); len(flip.What) == 1 && strings.Contains(flip.What[0], " times ") && to != r.Choice {
			t.Errorf("%v leads to %q by less than it says:\n%s", flip, to, r)
		}
		for i := range flip.What {
			if len(flip.What) == 1 {
				break // what is left would be the same
			}
			if to := s.after(t, slices.Delete(slices.Clone(flip.What), i, i+1), 1); to == flip.To {
				t.Errorf("%v also without %q:\n%s", flip, flip.What[i], r)
			}
			met["several"]++
		}
		for _, w := range flip.What {
			for _, way := range says {
				if way.pattern.MatchString(w) {
					met[way.pattern.String()]++
				}
			}
		}
	}
}

// A flip leads where it says, whatever is needed, measured and weighed.
func TestFlips(t *testing.T) {
	r := seeded(t)
	met := map[string]int{}
	for range 50 {
		s := situation{costmodel.ArticleFramework(), nil, costmodel.Measured{}}
		for i := range s.Rules {
			rule := &s.Rules[i]
			rule.Weight = float64(1 + r.IntN(3)*r.IntN(2))
			if r.IntN(2) == 0 {
				s.needs = append(s.needs, costmodel.Need{Rule: rule.Name})
			}
			if rule.Metric != "" && r.IntN(5) > 0 {
				around := func() costmodel.Range {
					v := costmodel.Exactly(max(rule.Limit, 1) * (0.1 + 3*r.Float64()))
					if r.IntN(2) == 0 {
						v.Low, v.High = v.Low*(0.6+0.4*r.Float64()), v.High*(1+0.5*r.Float64())
					}
					return v
				}
				s.measured[rule.Metric] = costmodel.Sides{Container: around(), Wasm: around()}
			}
		}
		s.check(t, met)
		if t.Failed() {
			return
		}
	}
	for _, way := range says {
		if met[way.pattern.String()] == 0 {
			t.Errorf("no flip says %s", way.pattern)
		}
	}
	if met["several"] == 0 {
		t.Error("no flip takes several changes")
	}
	t.Log(met)
}

// What is Must is in the way of all that speaks for the other side: the flip is
// to do without it.
func TestFlipsTellWhatIsInTheWay(t *testing.T) {
	asked := needs("gpu", "edge", "cold-start", "posix", "instances", "compute", "multi-tenant", "tco")
	measured := maps.Clone(articleSays)
	measured["Fibonacci ns/op"] = sides(40e6, 8e6)
	s := situation{costmodel.ArticleFramework(), asked, measured}
	r, err := s.recommend()
	if err != nil || r.Choice != costmodel.Hybrid || len(r.Flips) == 0 {
		t.Fatalf("%s, %v", r, err)
	}
	if first := r.Flips[0]; first.To != costmodel.Wasm || !slices.Equal(first.What, []string{"gpu were not needed", "posix were not needed"}) {
		t.Errorf("%v comes first in\n%s", first, r)
	}
	s.check(t, map[string]int{})

	// What is in the way and the heaviest of the rest, not all that is light.
	s.needs = needs("existing-containers", "debugging", "team", "stateful", "gpu", "edge", "cold-start", "instances", "compute", "multi-tenant", "tco")
	for i := range s.Rules {
		if s.Rules[i].Name == "stateful" {
			s.Rules[i].Weight = 3
		}
	}
	want := costmodel.Flip{To: costmodel.Wasm, What: []string{"gpu were not needed", "stateful were not needed"}}
	if r, err = s.recommend(); err != nil || !slices.ContainsFunc(r.Flips, func(f costmodel.Flip) bool { return f.To == want.To && slices.Equal(f.What, want.What) }) {
		t.Errorf("%v, and no %v in\n%s", err, want, r)
	}
}

func TestFlipsTellHowFar(t *testing.T) {
	s := situation{costmodel.ArticleFramework(), needs("cold-start", "team"), costmodel.Measured{"ColdStart ns/op": sides(80e6, 5e6)}}
	r, err := s.recommend()
	if err != nil || !strings.Contains(r.String(), "ColdStart ns/op of container were 8 times less") {
		t.Errorf("%s, %v", r, err)
	}
	// With the end of the interval that comes first, and no less than it takes.
	s.measured = costmodel.Measured{"ColdStart ns/op": {Container: costmodel.Range{Value: 80e6, Low: 27.841e6, High: 120e6}, Wasm: costmodel.Exactly(5e6)}}
	r, err = s.recommend()
	if err != nil || !strings.Contains(r.String(), "ColdStart ns/op of container were 2.79 times less\n") || !strings.Contains(r.String(), "the limit of cold-start were 2.79 times higher\n") {
		t.Errorf("%s, %v", r, err)
	}
	// Several together where no single one does.
	s.needs = needs("team", "stateful", "debugging", "existing-containers", "multi-tenant")
	r, err = s.recommend()
	if err != nil || !slices.ContainsFunc(r.Flips, func(f costmodel.Flip) bool { return len(f.What) == 3 && f.To == costmodel.Hybrid }) {
		t.Errorf("%s, %v", r, err)
	}
	// Nothing that is asked for leads elsewhere, so it takes further needs.
	s.needs = needs("team", "stateful", "debugging", "existing-containers")
	r, err = s.recommend()
	if err != nil || !slices.ContainsFunc(r.Flips, func(f costmodel.Flip) bool { return f.To == costmodel.Hybrid }) {
		t.Errorf("%s, %v", r, err)
	}
	s.check(t, map[string]int{})
}
