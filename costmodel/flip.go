package costmodel

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// flips tells what would change the choice: every change of one need that does; for
// another choice that none leads to, the changes that do together, the fewest
// first; and every further need, or if nothing else leads anywhere, the heaviest of these
// together.
func (f Framework) flips(r Recommendation, m Measured) []Flip {
	var flips []Flip
	for i, v := range r.Verdicts {
		for _, side := range []Choice{"", Container, Wasm} {
			if side == v.For {
				continue
			}
			changed := slices.Clone(r.Verdicts)
			changed[i].For = side
			if to, other := f.leads(r, changed); other {
				for _, what := range v.changes(side) {
					flips = append(flips, Flip{To: to, What: []string{what}})
				}
			}
		}
	}
	flips = append(flips, f.together(r, flips)...)
	further := f.further(r, m)
	one := map[Choice][]Flip{}
	for _, v := range further {
		if to, other := f.leads(r, append(slices.Clone(r.Verdicts), v)); other {
			one[to] = append(one[to], Flip{To: to, What: []string{v.needed()}, further: true})
		}
	}
	for _, to := range []Choice{Container, Wasm, Hybrid} {
		flips = append(flips, one[to]...)
	}
	if len(flips) == 0 {
		more := slices.Clone(r.Verdicts)
		var what []string
		for _, v := range further {
			if v.For == r.heavier() {
				continue
			}
			with := append(slices.Clone(more), v)
			to, other := f.leads(r, with)
			if !with[len(more)].counts() {
				continue
			}
			more, what = with, append(what, v.needed())
			if other {
				flips = append(flips, Flip{To: to, What: f.fewest(r, more, what, to)})
				break
			}
		}
	}
	return flips
}

// fewest takes out of further needs, which more has after r's own verdicts, whatever the
// choice follows without, until nothing is left of that kind.
func (f Framework) fewest(r Recommendation, more []Verdict, what []string, to Choice) []string {
	own := len(r.Verdicts)
	for i := 0; i < len(what); i++ {
		without := slices.Delete(slices.Clone(more), own+i, own+i+1)
		if choice, other := f.leads(r, slices.Clone(without)); other && choice == to {
			more, what, i = without, slices.Delete(slices.Clone(what), i, i+1), -1
		}
	}
	return what
}

// leads tells where verdicts lead, and whether that is another choice.
func (f Framework) leads(r Recommendation, verdicts []Verdict) (Choice, bool) {
	f.group(verdicts)
	to, _, _ := f.weigh(verdicts)
	return to, to != "" && to != r.Choice
}

// together finds for each choice that is neither the recommended one nor any of those
// that are known the few verdicts of one side without which it would be.
func (f Framework) together(r Recommendation, known []Flip) []Flip {
	var flips []Flip
	for _, to := range []Choice{Container, Wasm, Hybrid} {
		if to == r.Choice || slices.ContainsFunc(known, func(k Flip) bool { return k.To == to }) {
			continue
		}
		var fewest []string
		for _, side := range []Choice{Container, Wasm} {
			if what := f.without(r, side, to); what != nil && (fewest == nil || len(what) < len(fewest)) {
				fewest = what
			}
		}
		if fewest != nil {
			flips = append(flips, Flip{To: to, What: fewest})
		}
	}
	slices.SortStableFunc(flips, func(a, b Flip) int { return cmp.Compare(len(a.What), len(b.What)) })
	return flips
}

// without drops what speaks for a side, the heaviest first, until the choice follows,
// and takes back what was not needed for it. What is Must stands in the way of the
// other side alone, so it goes before the heaviest then. It is nil if the choice
// does not follow.
func (f Framework) without(r Recommendation, side, to Choice) []string {
	left := slices.Clone(r.Verdicts)
	var dropped []int
	follows := func() bool {
		choice, _ := f.leads(r, left)
		return choice == to
	}
	before := func(a, b Rule) bool {
		if a.Must != b.Must && to != Hybrid {
			return a.Must
		}
		return a.Weight > b.Weight
	}
	for !follows() {
		next := -1
		for i, v := range left {
			if v.For == side && v.counts() && (next < 0 || before(v.Rule, left[next].Rule)) {
				next = i
			}
		}
		if next < 0 {
			return nil
		}
		left[next].For = ""
		dropped = append(dropped, next)
	}
	for n := 0; n < len(dropped); n++ { // from the first again, for one that was needed may not be any more
		i := dropped[n]
		if left[i].For = side; follows() {
			dropped, n = slices.Delete(dropped, n, n+1), -1
			continue
		}
		left[i].For = ""
	}
	var what []string
	for _, i := range dropped {
		if changes := r.Verdicts[i].changes(""); len(changes) > 0 {
			what = append(what, changes[0])
		}
	}
	return what
}

// further are the needs that nobody has asked for, as they would count; what was
// not measured counts as the framework has it.
func (f Framework) further(r Recommendation, m Measured) []Verdict {
	var further []Verdict
	for _, rule := range f.Rules {
		if slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Rule.Name == rule.Name }) {
			continue
		}
		v, err := rule.judge(m[rule.Metric])
		if err != nil {
			continue // the figure of a rule that nobody asked for
		}
		if !v.measured() && rule.Metric != "" {
			v.For = rule.For
		}
		if v.For != "" {
			further = append(further, v)
		}
	}
	slices.SortStableFunc(further, func(a, b Verdict) int { return cmp.Compare(b.Rule.Weight, a.Rule.Weight) })
	return further
}

// needed tells of a further need.
func (v Verdict) needed() string {
	if v.Rule.Metric != "" && !v.measured() {
		return fmt.Sprintf("%s were needed too and measured for %s", v.Rule.Name, v.For)
	}
	return v.Rule.Name + " were needed too"
}

// heavier is the side that has more weight.
func (r Recommendation) heavier() Choice {
	if r.WasmWeight > r.ContainerWeight {
		return Wasm
	}
	return Container
}

// changes are the ways to have a rule speak for another side, each of which does.
func (v Verdict) changes(side Choice) []string {
	r := v.Rule
	switch {
	case r.Metric == "" && side == "":
		return []string{r.Name + " were not needed"}
	case r.Metric == "":
		return nil
	case !v.measured() && side != "":
		return []string{fmt.Sprintf("%s were measured on both sides and spoke for %s", r.Metric, side)}
	case !v.measured():
		return nil
	case r.Limit > 0 && side != "":
		return []string{fmt.Sprintf("%s of %s alone kept the limit", r.Metric, side)}
	case r.Limit > 0:
		return v.nearer()
	case side == "":
		return []string{fmt.Sprintf("%s differed by a factor of no more than %.3g", r.Metric, r.Margin)}
	}
	better := fmt.Sprintf("%s were better for %s by a factor of more than %.3g", r.Metric, side, r.Margin)
	if !v.Container.certain() || !v.Wasm.certain() {
		better += " with all of its interval"
	}
	if v.For != "" {
		better += fmt.Sprintf(", not for %s by %.3g", v.For, max(v.Container.Value/v.Wasm.Value, v.Wasm.Value/v.Container.Value))
	}
	return []string{better}
}

// nearer tells how far the side that breaks the limit is from it, with the end of its
// interval that comes first.
func (v Verdict) nearer() []string {
	r := v.Rule
	side, at := Wasm, v.Wasm.exact()
	if v.For == Wasm {
		side, at = Container, v.Container.exact()
	}
	way, back, times := "less", "higher", at.Low/r.Limit
	if r.Higher {
		way, back, times = "more", "lower", r.Limit/at.High
	}
	return []string{
		fmt.Sprintf("%s of %s were %s times %s", r.Metric, side, roundUp(times), way),
		fmt.Sprintf("the limit of %s were %s times %s", r.Name, roundUp(times), back),
	}
}

// roundUp rounds to three digits, so that what is said is enough.
func roundUp(x float64) string {
	unit := math.Pow(10, math.Floor(math.Log10(x))-2)
	return fmt.Sprintf("%.3g", math.Ceil(x/unit*(1-grain))*unit)
}
