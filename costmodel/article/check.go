package article

import (
	"fmt"
	"strconv"
	"strings"
)

// A Verdict is whether a figure follows from others.
type Verdict string

const (
	Follows Verdict = "follows"
	Cut     Verdict = "cut off" // follows if further digits are dropped, not if they are rounded
	Fails   Verdict = "does not follow"
)

// A Check is one figure beside what others make of it.
type Check struct {
	Figure  Figure
	From    string // what the other figures are and what is done with them
	Gives   string // what that gives
	Verdict Verdict
}

// A checker gathers checks. The first cell that is not there ends it.
type checker struct {
	Figures
	checks []Check
	err    error
}

// at returns a cell.
func (c *checker) at(table, row, system, metric string) Figure {
	f, err := c.Find(table, row, system, metric)
	if err != nil && c.err == nil {
		c.err = err
	}
	return f
}

func (c *checker) v(table, row, system, metric string) float64 {
	return c.at(table, row, system, metric).Value
}

func (c *checker) add(f Figure, from, gives string, v Verdict) {
	c.checks = append(c.checks, Check{f, from, gives, v})
}

// equals checks a value, to the digits that are printed.
func (c *checker) equals(f Figure, want float64, from string) {
	verdict, digits := Fails, f.decimals()
	switch f.Value {
	case round(want, digits):
		verdict = Follows
	case cut(want, digits):
		verdict = Cut
	}
	c.add(f, from, number(want), verdict)
}

// holds checks that a range holds what other cells say of the same.
func (c *checker) holds(f Figure, from string, values ...float64) {
	low, high := f.ends()
	var outside []string
	for _, v := range values {
		if v < low || v > high {
			outside = append(outside, number(v))
		}
	}
	if len(outside) > 0 {
		c.add(f, from, strings.Join(outside, ", "), Fails)
		return
	}
	c.add(f, from, "all within", Follows)
}

// number prints five digits and no exponent.
func number(x float64) string {
	digits := 4
	for p := 10.; p <= max(x, -x) && digits > 0; p *= 10 {
		digits--
	}
	s := strconv.FormatFloat(round(x, digits), 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Findings returns those that do not follow, or only by cutting digits off.
func Findings(checks []Check) []Check {
	var found []Check
	for _, c := range checks {
		if c.Verdict != Follows {
			found = append(found, c)
		}
	}
	return found
}

// Table writes checks as rows of a Markdown table.
func Table(checks []Check) string {
	var s strings.Builder
	s.WriteString("| figure | printed | its own other figures give | from | |\n|---|---|---|---|---|\n")
	for _, c := range checks {
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s |\n", c.Figure.Name(), c.Figure.Text, c.Gives, c.From, c.Verdict)
	}
	return s.String()
}
