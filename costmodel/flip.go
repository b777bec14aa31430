package costmodel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// flips tells what would change the choice: every change of one need that does, and
// every further need. If no change of one need does, the fewest of those on the
// heavier side that do together, and if nothing does, the fewest further needs; in
// both the heaviest come first.
func (f Framework) flips(r Recommendation, m Measured) []Flip {
	var flips []Flip
	leads := func(verdicts []Verdict) (Choice, bool) {
		to, _, _ := f.weigh(verdicts)
		return to, to != "" && to != r.Choice
	}
	try := func(verdicts []Verdict, what ...string) bool {
		to, other := leads(verdicts)
		if other {
			flips = append(flips, Flip{to, slices.Clone(what)})
		}
		return other
	}
	for i, v := range r.Verdicts {
		for _, side := range []Choice{"", Container, Wasm} {
			if what, can := v.change(side); can && side != v.For {
				changed := slices.Clone(r.Verdicts)
				changed[i].For = side
				try(changed, what)
			}
		}
	}
	if len(flips) == 0 {
		f.together(r, try)
	}
	further := f.further(r, m)
	one := map[Choice][]string{}
	for _, v := range further {
		if to, other := leads(append(slices.Clone(r.Verdicts), v)); other {
			one[to] = append(one[to], v.needed())
		}
	}
	for _, to := range []Choice{Container, Wasm, Hybrid} {
		if len(one[to]) > 0 {
			flips = append(flips, Flip{to, []string{strings.Join(one[to], ", or ")}})
		}
	}
	if len(flips) == 0 {
		more := slices.Clone(r.Verdicts)
		var what []string
		for _, v := range further {
			if v.For == r.heavier() {
				continue
			}
			more, what = append(more, v), append(what, v.needed())
			if try(more, what...) {
				break
			}
		}
	}
	return flips
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
		if v.decides() {
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

// together drops what speaks for the side that has more, the heaviest first, until
// another choice follows.
func (f Framework) together(r Recommendation, try func([]Verdict, ...string) bool) {
	left := slices.Clone(r.Verdicts)
	order := slices.Clone(r.Verdicts)
	slices.SortStableFunc(order, func(a, b Verdict) int { return cmp.Compare(b.Rule.Weight, a.Rule.Weight) })
	var what []string
	for _, v := range order {
		if v.For != r.heavier() {
			continue
		}
		change, can := v.change("")
		if !can {
			continue
		}
		left = slices.DeleteFunc(left, func(o Verdict) bool { return o.Rule.Name == v.Rule.Name })
		what = append(what, change)
		if try(left, what...) {
			return
		}
	}
}

// change tells what would have to be so for a rule to speak for another side, and
// whether it can.
func (v Verdict) change(side Choice) (what string, can bool) {
	r := v.Rule
	switch {
	case r.Metric == "":
		return r.Name + " were not needed", side == ""
	case !v.measured():
		return fmt.Sprintf("%s were measured on both sides and spoke for %s", r.Metric, side), side != ""
	case r.Limit == 0:
		switch {
		case side == "":
			return fmt.Sprintf("%s differed by a factor of no more than %.3g", r.Metric, r.Margin), true
		case v.For == "":
			return fmt.Sprintf("%s were better for %s by a factor of more than %.3g", r.Metric, side, r.Margin), true
		}
		return fmt.Sprintf("%s were better for %s by a factor of more than %.3g, not for %s by %.3g", r.Metric, side, r.Margin, v.For,
			max(v.Container.Value/v.Wasm.Value, v.Wasm.Value/v.Container.Value)), true
	case side == "" && v.For != "":
		return v.nearer(), true
	case side != "":
		return fmt.Sprintf("%s of %s alone kept the limit", r.Metric, side), true
	}
	return "", false
}

// nearer tells how far the side that breaks the limit is from it.
func (v Verdict) nearer() string {
	other, at := Wasm, v.Wasm
	if v.For == Wasm {
		other, at = Container, v.Container
	}
	way, back := "less", "higher"
	if v.Rule.Higher {
		way, back = "more", "lower"
	}
	return fmt.Sprintf("%s of %s were %.3g times %s, or its limit as much %s", v.Rule.Metric, other, max(at.Value/v.Rule.Limit, v.Rule.Limit/at.Value), way, back)
}
