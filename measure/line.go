package measure

import (
	"errors"
	"fmt"
	"math"

	"github.com/aclements/go-moremath/stats"
)

// A Line is the straight line that lies nearest to points, and how far off it
// may be, as far as these points tell: see FitLine for what that takes for granted.
type Line struct {
	Slope, Intercept            float64
	SlopeLow, SlopeHigh         float64 // hold the slope with the given confidence
	InterceptLow, InterceptHigh float64 // hold the intercept with the given confidence
	Confidence                  float64
	Points                      int
}

// FitLine fits a line to the points (x[i], y[i]) by least squares. The intervals
// hold the true values with the given confidence, such as 0.95, where the points
// are off by chance alone, independently and normally, and by as much at every x.
//
// Readings of one population that grows are not quite so: they may be off by the
// more the more there are, and what was off stays. Points that are off by 2 % of
// what they lie above the intercept are an example: with x = 1, 10 and 100 an
// interval of 95 % then holds the slope in 68 of 100 cases, with x = 1, 10, 100 and
// 1000 in 19, but with x = 25, 50 and 100 in 94. An interval tells how straight the
// points of one population lie, and nothing of how another one differs from it, in
// another process or on another day: for that repeat the whole measurement and
// compare the slopes.
//
// The standard error of the slope is s/√Sxx and that of the intercept
// s·√(1/n + x̄²/Sxx), where s² is the sum of the squared residuals over n-2 and
// Sxx that of the x about their mean x̄; the intervals reach as far as so many of
// these as Student's t with n-2 degrees of freedom says. Source: Draper and
// Smith, Applied Regression Analysis, third edition, chapter 1.
//
// Fewer than 3 points tell nothing of how far off they are and are an error, as
// are points at one x only, values that are not finite and a confidence that is
// not between 0 and 1.
func FitLine(x, y []float64, confidence float64) (Line, error) {
	n := float64(len(x))
	switch {
	case len(x) != len(y):
		return Line{}, fmt.Errorf("fitting a line: %d values of x, %d of y", len(x), len(y))
	case len(x) < 3:
		return Line{}, fmt.Errorf("fitting a line: %d points do not tell how far off they are: it takes 3", len(x))
	case !(confidence > 0 && confidence < 1):
		return Line{}, fmt.Errorf("fitting a line: a confidence of %v is not between 0 and 1", confidence)
	}
	mx, my := stats.Mean(x), stats.Mean(y)
	var sxx, sxy float64
	for i := range x {
		sxx += (x[i] - mx) * (x[i] - mx)
		sxy += (x[i] - mx) * (y[i] - my)
	}
	if sxx == 0 {
		return Line{}, fmt.Errorf("fitting a line: all points are at x = %v", mx)
	}
	slope := sxy / sxx
	var residual float64
	for i := range x {
		// About the means, where less is lost than about the intercept.
		r := (y[i] - my) - slope*(x[i]-mx)
		residual += r * r
	}
	s := math.Sqrt(residual / (n - 2))
	t := stats.InvCDF(stats.TDist{V: n - 2})(0.5 + confidence/2)
	slopeOff := t * s / math.Sqrt(sxx)
	interceptOff := t * s * math.Sqrt(1/n+mx*mx/sxx)
	if finite := slopeOff + interceptOff - slope*mx + my; math.IsNaN(finite) || math.IsInf(finite, 0) {
		return Line{}, errors.New("fitting a line: a point or what comes of it is not a finite number")
	}
	intercept := my - slope*mx
	return Line{
		Slope: slope, SlopeLow: slope - slopeOff, SlopeHigh: slope + slopeOff,
		Intercept: intercept, InterceptLow: intercept - interceptOff, InterceptHigh: intercept + interceptOff,
		Confidence: confidence, Points: len(x),
	}, nil
}

// Fits returns how many instances fit in so many bytes where y is the bytes that
// x instances take, and the interval that follows from the slope's; what is not
// known of the intercept is left out. Where more bytes than none are not known
// to be needed for another instance, which is where the slope's interval
// includes 0, high is +Inf: see Grows. Nothing fits in less than the intercept.
func (l Line) Fits(bytes float64) (n, low, high float64) {
	room := max(0, bytes-l.Intercept)
	through := func(slope float64) float64 {
		switch {
		case room == 0:
			return 0
		case slope <= 0:
			return math.Inf(1)
		}
		return room / slope
	}
	return through(l.Slope), through(l.SlopeHigh), through(l.SlopeLow)
}

// Grows tells whether y is known to grow with x: whether the whole interval of
// the slope is above 0.
func (l Line) Grows() bool { return l.SlopeLow > 0 }
