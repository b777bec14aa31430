package measure

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/aclements/go-moremath/stats"
)

// Confidence is the level at which a percentile must be bounded on both sides
// to be reported.
const Confidence = 0.95

// A Distribution is a sample of durations. None is ever dropped from it.
type Distribution struct{ sorted []time.Duration }

// NewDistribution returns the distribution of a sample, which it copies.
func NewDistribution(sample []time.Duration) Distribution {
	s := slices.Clone(sample)
	slices.Sort(s)
	return Distribution{s}
}

// Len returns the size of the sample.
func (d Distribution) Len() int { return len(d.sorted) }

// Mean returns the arithmetic mean, 0 for an empty sample.
func (d Distribution) Mean() time.Duration {
	if len(d.sorted) == 0 {
		return 0
	}
	var sum float64
	for _, x := range d.sorted {
		sum += float64(x)
	}
	return time.Duration(sum / float64(len(d.sorted)))
}

// Max returns the largest of the sample, 0 where it is empty.
func (d Distribution) Max() time.Duration {
	if len(d.sorted) == 0 {
		return 0
	}
	return d.sorted[len(d.sorted)-1]
}

// Percentile returns the value at the nearest rank, the ceil(p/100*n)th of n
// in order. ok is false where the sample cannot carry the percentile: where the
// interval of order statistics that holds it with 95 % confidence is not within
// the sample. That takes 6 for the median, 39 for p90, 441 for p99 and 4394 for
// p99.9.
func (d Distribution) Percentile(p float64) (value time.Duration, ok bool) {
	n := len(d.sorted)
	if !carried(n, p) {
		return 0, false
	}
	return d.sorted[rank(n, p)-1], true
}

// rank is that of a percentile of n in order, from 1.
func rank(n int, p float64) int {
	// The rounding error of p*n must not carry a whole rank over to the next.
	return int(math.Ceil(p*float64(n)/100 - 1e-9))
}

// carried tells whether a sample of n carries a percentile.
func carried(n int, p float64) bool {
	if n == 0 || !(p > 0 && p < 100) {
		return false
	}
	ci := stats.QuantileCI(n, p/100, Confidence)
	return ci.LoOrder >= 1 && ci.HiOrder <= n
}

// A Metric is a value with its unit, as a benchmark's line has them.
type Metric struct {
	Value float64
	Unit  string
}

// Percentiles are the ones that Metrics reports where the sample carries them.
var Percentiles = []float64{50, 90, 99, 99.9}

// Metrics returns the mean in ns/op, the percentiles that the sample carries
// and the maximum, in nanoseconds.
func (d Distribution) Metrics() []Metric {
	if d.Len() == 0 {
		return nil
	}
	ms := []Metric{{float64(d.Mean()), "ns/op"}}
	for _, p := range Percentiles {
		if v, ok := d.Percentile(p); ok {
			ms = append(ms, Metric{float64(v), percentileUnit(p)})
		}
	}
	return append(ms, Metric{float64(d.Max()), "max-ns"})
}

func percentileUnit(p float64) string { return "p" + strconv.FormatFloat(p, 'f', -1, 64) + "-ns" }
