package costmodel

import (
	"fmt"
	"math"
	"slices"
)

// A Range is a value and the interval that holds it. Where Low and High are both
// 0 the value is exact, so that Range{Value: 5} is 5 and the zero Range is a figure
// that nobody has given.
type Range struct{ Value, Low, High float64 }

// Exactly returns the range of a value that is known.
func Exactly(v float64) Range { return Range{v, v, v} }

// Spread returns the median of several windows of one measurement between the
// least and the greatest of them. That interval misses the true median only where
// all windows lie on one side of it, by chance 1 time in 2^(n-1): it takes six
// windows for 95 %. Source: the order statistics of a sign test. No windows at all,
// and values that are not finite, are an error.
func Spread(windows ...float64) (Range, error) {
	if len(windows) == 0 {
		return Range{}, badf("the spread of no windows: give one at least")
	}
	for _, w := range windows {
		if !finite(w) {
			return Range{}, badf("a window of %v is no measurement", w)
		}
	}
	s := slices.Sorted(slices.Values(windows))
	return Range{(s[(len(s)-1)/2] + s[len(s)/2]) / 2, s[0], s[len(s)-1]}, nil
}

// given tells whether there is anything in it.
func (r Range) given() bool { return r != Range{} }

// certain tells whether there is nothing about it.
func (r Range) certain() bool { r = r.exact(); return r.Low == r.High }

// exact fills an interval that was left out.
func (r Range) exact() Range {
	if r.Low == 0 && r.High == 0 {
		return Exactly(r.Value)
	}
	return r
}

// Scale returns so many times the range, as from one unit to another. by is 0 or more.
func (r Range) Scale(by float64) Range { return Range{r.Value * by, r.Low * by, r.High * by} }

// Plus returns the sum of both, from that of the lower ends to that of the higher.
func (r Range) Plus(s Range) Range {
	r, s = r.exact(), s.exact()
	return Range{r.Value + s.Value, r.Low + s.Low, r.High + s.High}
}

// check refuses what cannot be worked with: what is not finite, an interval that
// does not hold its value, and what is below 0.
func (r Range) check(what string) error {
	e := r.exact()
	switch {
	case !finite(e.Value) || !finite(e.Low) || !finite(e.High):
		return badf("%s of %v is not a finite number", what, r)
	case e.Low > e.Value || e.Value > e.High:
		return badf("%s: the interval from %v to %v does not hold %v", what, e.Low, e.High, e.Value)
	case e.Low < 0:
		return badf("%s reaches down to %v: nothing takes less than nothing, so cut its interval at 0 or measure again", what, e.Low)
	}
	return nil
}

// positive is check for what must be there and be more than 0.
func (r Range) positive(what string) error {
	if err := r.check(what); err != nil {
		return err
	}
	if r.Value == 0 {
		return badf("%s is missing: measure it or give it", what)
	}
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// badf makes the error of an input that is not there or makes no sense.
func badf(format string, args ...any) error {
	return fmt.Errorf("costmodel: %w: %s", ErrInput, fmt.Sprintf(format, args...))
}
