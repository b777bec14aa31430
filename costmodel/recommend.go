package costmodel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Need asks for a rule of the framework.
type Need struct {
	Rule  string
	Limit float64 // instead of the rule's, in its metric's unit; 0 is the rule's
}

// Sides are one metric of both sides. The zero Range is one that was not measured.
type Sides struct{ Container, Wasm Range }

// Measured are the metrics of both sides, by Rule.Metric.
type Measured map[string]Sides

// A Verdict is what became of a rule.
type Verdict struct {
	Rule Rule   // with the Need's limit
	For  Choice // the side that it speaks for; "" is none
	With string // the rule of its Group that counts in its place; "" is none
	Why  string
	Sides
}

// counts tells whether the rule does.
func (v Verdict) counts() bool { return v.For != "" && v.With == "" }

// measured tells whether both sides were.
func (v Verdict) measured() bool { return v.Container.given() && v.Wasm.given() }

// A Recommendation is a choice with its reasons.
type Recommendation struct {
	Choice                      Choice
	ContainerWeight, WasmWeight float64
	Verdicts                    []Verdict // of every need, in their order; those without a side decided nothing
	Flips                       []Flip    // what would change the choice
}

// A Flip is a change that would lead to another choice.
type Flip struct {
	To   Choice
	What []string // all of it together

	further bool // it is one of several needs that nobody has asked for
}

// ErrUndecided is in the error of a recommendation that nothing speaks for.
var ErrUndecided = errors.New("nothing decides")

// Recommend weighs what is needed. A matter of fact counts for the side that its rule
// names. A measured one counts for whom the measurement favours with its whole
// interval: what was not measured on both sides, and what an interval leaves open,
// counts for none and says so in its Verdict. Of the rules of a Group that speak for a
// side, be it the same or not, the heaviest counts, of equal ones the first of the table.
//
// A side whose weight is Outweigh times the other's or more is recommended, or else the
// hybrid. Where a rule that counts is Must, the other side is not recommended alone: what
// would be that side is a hybrid. If nothing counts the error is ErrUndecided, and tells what to
// measure; the verdicts are there all the same.
func (f Framework) Recommend(needs []Need, m Measured) (Recommendation, error) {
	if err := f.check(); err != nil {
		return Recommendation{}, err
	}
	var verdicts []Verdict
	for i, n := range needs {
		r, err := f.rule(n.Rule)
		switch {
		case err != nil:
			return Recommendation{}, err
		case slices.ContainsFunc(needs[:i], func(o Need) bool { return o.Rule == n.Rule }):
			return Recommendation{}, badf("%s is needed twice", n.Rule)
		case !finite(n.Limit) || n.Limit < 0:
			return Recommendation{}, badf("%s is needed with a limit of %v", n.Rule, n.Limit)
		case n.Limit > 0 && r.Metric == "":
			return Recommendation{}, badf("%s is needed with a limit, and nothing of it is measured", n.Rule)
		case n.Limit > 0:
			r.Limit = n.Limit
		}
		v, err := r.judge(m[r.Metric])
		if err != nil {
			return Recommendation{}, err
		}
		verdicts = append(verdicts, v)
	}
	f.group(verdicts)
	choice, container, wasm := f.weigh(verdicts)
	rec := Recommendation{Choice: choice, ContainerWeight: container, WasmWeight: wasm, Verdicts: verdicts}
	if choice == "" {
		var why []string
		for _, v := range verdicts {
			why = append(why, v.Rule.Name+": "+v.Why)
		}
		return rec, fmt.Errorf("costmodel: %w between container and wasm: %s", ErrUndecided, cmp.Or(strings.Join(why, "; "), "nothing was asked for"))
	}
	rec.Flips = f.flips(rec, m)
	return rec, nil
}

// group tells each verdict which other of its group counts in its place.
func (f Framework) group(verdicts []Verdict) {
	counts := map[string]Rule{}
	for _, r := range f.Rules { // in their order
		speaks := slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Rule.Name == r.Name && v.For != "" })
		if first, ok := counts[r.Group]; r.Group != "" && speaks && (!ok || r.Weight > first.Weight) {
			counts[r.Group] = r
		}
	}
	for i := range verdicts {
		v := &verdicts[i]
		v.With = ""
		if r, ok := counts[v.Rule.Group]; ok && v.For != "" && r.Name != v.Rule.Name {
			v.With = r.Name
		}
	}
}

// weigh returns the choice, "" where nothing counts, and the weights of both sides.
func (f Framework) weigh(verdicts []Verdict) (choice Choice, container, wasm float64) {
	must := map[Choice]bool{}
	for _, v := range verdicts {
		if !v.counts() {
			continue
		}
		switch v.For {
		case Container:
			container += v.Rule.Weight
		case Wasm:
			wasm += v.Rule.Weight
		}
		if v.Rule.Must {
			must[v.For] = true
		}
	}
	switch {
	case container == 0 && wasm == 0:
		return "", 0, 0
	case meets(container, wasm*f.Outweigh) && !must[Wasm]:
		choice = Container
	case meets(wasm, container*f.Outweigh) && !must[Container]:
		choice = Wasm
	default:
		choice = Hybrid
	}
	return choice, container, wasm
}

// judge tells which side a rule speaks for.
func (r Rule) judge(s Sides) (Verdict, error) {
	v := Verdict{Rule: r, Sides: s}
	if r.Metric == "" {
		v.For, v.Why = r.For, r.Reason
		return v, nil
	}
	for _, side := range []struct {
		name Choice
		Range
	}{{Container, s.Container}, {Wasm, s.Wasm}} {
		if !side.given() {
			v.Why = fmt.Sprintf("%s of %s was not measured", r.Metric, side.name)
			return v, nil
		}
		if err := side.positive(fmt.Sprintf("%s of %s", r.Metric, side.name)); err != nil {
			return Verdict{}, err
		}
	}
	c, w := s.Container.exact(), s.Wasm.exact()
	if r.Limit > 0 {
		v.For, v.Why = r.byLimit(c, w)
	} else {
		v.For, v.Why = r.byComparison(c, w)
	}
	return v, nil
}

// byLimit speaks for the side that keeps the limit where the other breaks it.
func (r Rule) byLimit(c, w Range) (Choice, string) {
	ck, co := r.keeps(c)
	wk, wo := r.keeps(w)
	limit := quantity(r.Limit)
	switch {
	case co || wo:
		return "", fmt.Sprintf("an interval includes the limit of %s: measure more", limit)
	case ck && wk:
		return "", fmt.Sprintf("both keep the limit of %s", limit)
	case ck:
		return Container, fmt.Sprintf("only containers keep the limit of %s", limit)
	case wk:
		return Wasm, fmt.Sprintf("only modules keep the limit of %s", limit)
	}
	return "", fmt.Sprintf("neither keeps the limit of %s", limit)
}

// keeps tells whether a value keeps the limit, or whether its interval leaves that
// open.
func (r Rule) keeps(v Range) (keeps, open bool) {
	within := func(x float64) bool { return x == r.Limit || (x > r.Limit) == r.Higher }
	return within(v.Value), within(v.Low) != within(v.High)
}

// byComparison speaks for the side that is better by the margin with its whole
// interval.
func (r Rule) byComparison(c, w Range) (Choice, string) {
	better := func(a, b Range) bool { // by the margin for sure
		if r.Higher {
			return a.Low > b.High*r.Margin
		}
		return a.High*r.Margin < b.Low
	}
	times, most := max(c.Value/w.Value, w.Value/c.Value), max(c.High/w.Low, w.High/c.Low)
	switch {
	case better(c, w):
		return Container, fmt.Sprintf("containers are %.3g times better", times)
	case better(w, c):
		return Wasm, fmt.Sprintf("modules are %.3g times better", times)
	case most <= r.Margin:
		return "", fmt.Sprintf("they differ by a factor of %.3g, which counts as alike up to %.3g", times, r.Margin)
	}
	return "", fmt.Sprintf("they differ by a factor of %.3g, but their intervals leave open whether by more than %.3g: measure more", times, r.Margin)
}

func quantity(x float64) string { return fmt.Sprintf("%.6g", x) }

// String tells the choice, then a line for each need and each flip.
func (r Recommendation) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: weight %g for containers, %g for modules", r.Choice, r.ContainerWeight, r.WasmWeight)
	for _, v := range r.Verdicts {
		fmt.Fprintf(&s, "\n  %s speaks for %s", v.Rule.Name, cmp.Or(string(v.For), "neither"))
		if v.With != "" {
			fmt.Fprintf(&s, ", but %s counts in its place", v.With)
		}
		fmt.Fprintf(&s, ": %s", v.Why)
		if v.measured() {
			fmt.Fprintf(&s, " (%s: container %s, wasm %s)", v.Rule.Metric, quantity(v.Container.Value), quantity(v.Wasm.Value))
		}
	}
	for i, f := range r.Flips {
		if i > 0 && f.further && r.Flips[i-1].further && r.Flips[i-1].To == f.To {
			fmt.Fprintf(&s, ", or %s", f.What[0])
			continue
		}
		fmt.Fprintf(&s, "\n  %s if %s", f.To, strings.Join(f.What, " and "))
	}
	return s.String() + "\n"
}
