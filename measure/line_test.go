package measure_test

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(b)) }

func TestFitLine(t *testing.T) {
	tests := []struct {
		name       string
		x, y       []float64
		confidence float64
		want       measure.Line
	}{
		{
			name: "an exact line", x: []float64{1, 10, 100, 1000}, y: []float64{12, 30, 210, 2010}, confidence: 0.95,
			want: measure.Line{Slope: 2, SlopeLow: 2, SlopeHigh: 2, Intercept: 10, InterceptLow: 10, InterceptHigh: 10},
		}, {
			// By hand: s² = 1/6 with 1 degree of freedom, Sxx = 2, t = 12.7062047.
			name: "three points", x: []float64{0, 1, 2}, y: []float64{0, 1.5, 2}, confidence: 0.95,
			want: measure.Line{Slope: 1, SlopeLow: 1 - 3.6679653, SlopeHigh: 1 + 3.6679653, Intercept: 1. / 6, InterceptLow: 1./6 - 4.7353228, InterceptHigh: 1./6 + 4.7353228},
		}, {
			// By hand: s² = 0.8 with 3 degrees of freedom, Sxx = 10, t = 3.1824463 and 5.8409093.
			name: "five points", x: []float64{1, 2, 3, 4, 5}, y: []float64{2, 4, 5, 4, 5}, confidence: 0.95,
			want: measure.Line{Slope: 0.6, SlopeLow: 0.6 - 0.9001318, SlopeHigh: 0.6 + 0.9001318, Intercept: 2.2, InterceptLow: 2.2 - 2.9853995, InterceptHigh: 2.2 + 2.9853995},
		}, {
			name: "five points, 99 %", x: []float64{1, 2, 3, 4, 5}, y: []float64{2, 4, 5, 4, 5}, confidence: 0.99,
			want: measure.Line{Slope: 0.6, SlopeLow: 0.6 - 1.6520586, SlopeHigh: 0.6 + 1.6520586, Intercept: 2.2, InterceptLow: 2.2 - 5.4792584, InterceptHigh: 2.2 + 5.4792584},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := measure.FitLine(tt.x, tt.y, tt.confidence)
			if err != nil {
				t.Fatal(err)
			}
			w := tt.want
			if !near(got.Slope, w.Slope) || !near(got.SlopeLow, w.SlopeLow) || !near(got.SlopeHigh, w.SlopeHigh) ||
				!near(got.Intercept, w.Intercept) || !near(got.InterceptLow, w.InterceptLow) || !near(got.InterceptHigh, w.InterceptHigh) ||
				got.Confidence != tt.confidence || got.Points != len(tt.x) {
				t.Errorf("%+v, want %+v", got, w)
			}
		})
	}
}

func TestFitLineRefuses(t *testing.T) {
	tests := []struct {
		name       string
		x, y       []float64
		confidence float64
	}{
		{"no points", nil, nil, 0.95},
		{"two points", []float64{1, 2}, []float64{1, 2}, 0.95},
		{"one x", []float64{3, 3, 3}, []float64{1, 2, 3}, 0.95},
		{"x without y", []float64{1, 2, 3}, []float64{1, 2}, 0.95},
		{"x that is not a number", []float64{1, math.NaN(), 3}, []float64{1, 2, 3}, 0.95},
		{"y that is not a number", []float64{1, 2, 3}, []float64{1, math.NaN(), 3}, 0.95},
		{"infinite x", []float64{1, 2, math.Inf(1)}, []float64{1, 2, 3}, 0.95},
		{"infinite y", []float64{1, 2, 3}, []float64{1, 2, math.Inf(-1)}, 0.95},
		{"too large to square", []float64{1, 2, 1e300}, []float64{1, 2, 3}, 0.95},
		{"no confidence", []float64{1, 2, 3}, []float64{1, 2, 4}, 0},
		{"certainty", []float64{1, 2, 3}, []float64{1, 2, 4}, 1},
		{"confidence that is not a number", []float64{1, 2, 3}, []float64{1, 2, 4}, math.NaN()},
	}
	for _, tt := range tests {
		if got, err := measure.FitLine(tt.x, tt.y, tt.confidence); err == nil || got != (measure.Line{}) {
			t.Errorf("%s: %+v, error %v", tt.name, got, err)
		}
	}
}

// Of many data sets about one line the intervals of as many hold the truth as
// their confidence says, if the points are off as that takes for granted; and of
// others as many as FitLine's comment says.
func TestFitLineCovers(t *testing.T) {
	const sets, slope, intercept = 5000, 4096., 1e6
	equally := func(float64) float64 { return 30000 }
	byGrowth := func(x float64) float64 { return 0.02 * slope * x }
	tests := []struct {
		x      []float64
		off    func(x float64) float64
		slopes float64 // the share whose interval holds it
	}{
		{[]float64{1, 10, 100}, equally, 0.95},
		{[]float64{1, 2, 5, 10, 20, 50, 100, 200}, equally, 0.95},
		{[]float64{1, 10, 100}, byGrowth, 0.68},
		{[]float64{1, 10, 100, 1000}, byGrowth, 0.19},
		{[]float64{25, 50, 100}, byGrowth, 0.94},
	}
	for i, tt := range tests {
		r := rand.New(rand.NewPCG(4, uint64(i)))
		var slopes, intercepts int
		y := make([]float64, len(tt.x))
		for range sets {
			for i, x := range tt.x {
				y[i] = intercept + slope*x + tt.off(x)*r.NormFloat64()
			}
			l, err := measure.FitLine(tt.x, y, 0.95)
			if err != nil {
				t.Fatal(err)
			}
			if l.SlopeLow <= slope && slope <= l.SlopeHigh {
				slopes++
			}
			if l.InterceptLow <= intercept && intercept <= l.InterceptHigh {
				intercepts++
			}
		}
		if share := float64(slopes) / sets; math.Abs(share-tt.slopes) > 0.02 {
			t.Errorf("off by %.0f at the end of %v: the interval of the slope held it in %.1f %% of %d sets, want %.0f", tt.off(tt.x[len(tt.x)-1]), tt.x, 100*share, sets, 100*tt.slopes)
		}
		if share := float64(intercepts) / sets; share < 0.93 {
			t.Errorf("off by %.0f at the end of %v: the interval of the intercept held it in %.1f %% of %d sets", tt.off(tt.x[len(tt.x)-1]), tt.x, 100*share, sets)
		}
	}
}

func TestFits(t *testing.T) {
	inf := math.Inf(1)
	tests := []struct {
		name         string
		line         measure.Line
		bytes        float64
		n, low, high float64
		grows        bool
	}{
		{"known", measure.Line{Slope: 4, SlopeLow: 2, SlopeHigh: 5, Intercept: 100}, 1100, 250, 200, 500, true},
		{"not known to grow", measure.Line{Slope: 4, SlopeLow: -1, SlopeHigh: 5, Intercept: 100}, 1100, 250, 200, inf, false},
		{"not known to grow, just so", measure.Line{Slope: 4, SlopeLow: 0, SlopeHigh: 5, Intercept: 100}, 1100, 250, 200, inf, false},
		{"shrinks, perhaps", measure.Line{Slope: -1, SlopeLow: -4, SlopeHigh: 5, Intercept: 100}, 1100, inf, 200, inf, false},
		{"shrinks", measure.Line{Slope: -2, SlopeLow: -4, SlopeHigh: -1, Intercept: 100}, 1100, inf, inf, inf, false},
		{"less than the intercept", measure.Line{Slope: 4, SlopeLow: 2, SlopeHigh: 5, Intercept: 100}, 50, 0, 0, 0, true},
		{"less than the intercept, not known to grow", measure.Line{Slope: 4, SlopeLow: -2, SlopeHigh: 5, Intercept: 100}, 50, 0, 0, 0, false},
	}
	for _, tt := range tests {
		n, low, high := tt.line.Fits(tt.bytes)
		if n != tt.n || low != tt.low || high != tt.high || tt.line.Grows() != tt.grows {
			t.Errorf("%s: %v, from %v to %v, grows: %v; want %v, from %v to %v, grows: %v", tt.name, n, low, high, tt.line.Grows(), tt.n, tt.low, tt.high, tt.grows)
		}
	}
}

// How many instances fit in 128 GiB, by what 1 to 1000 of them took.
func ExampleLine_Fits() {
	const mib, gib = 1 << 20, 1 << 30
	l, err := measure.FitLine([]float64{1, 10, 100, 1000}, []float64{30 * mib, 49 * mib, 231 * mib, 2030 * mib}, 0.95)
	if err != nil {
		log.Fatal(err)
	}
	n, low, high := l.Fits(128 * gib)
	fmt.Printf("%.1f MiB each and %.0f MiB in any case: %.0f instances, %.0f to %.0f\n", l.Slope/mib, l.Intercept/mib, n, low, high)
	// Output:
	// 2.0 MiB each and 29 MiB in any case: 65491 instances, 65243 to 65742
}
