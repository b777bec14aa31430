package measure_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
)

// upTo returns 1, 2, ... n nanoseconds in random order.
func upTo(n int) []time.Duration {
	s := make([]time.Duration, n)
	for i, p := range rand.Perm(n) {
		s[i] = time.Duration(p + 1)
	}
	return s
}

func TestPercentile(t *testing.T) {
	tests := []struct {
		n    int
		p    float64
		want time.Duration // 0 where the sample cannot carry it
	}{
		{0, 50, 0}, {1, 50, 0}, {5, 50, 0},
		{6, 50, 3}, {7, 50, 4}, {100, 50, 50}, {1000, 50, 500},
		{38, 90, 0}, {39, 90, 36}, {1000, 90, 900},
		{100, 99, 0}, {440, 99, 0}, {441, 99, 437}, {1000, 99, 990},
		{1000, 99.9, 0}, {4393, 99.9, 0}, {4394, 99.9, 4390}, {10000, 99.9, 9990},
		{1000, 0, 0}, {1000, 100, 0}, {1000, -1, 0},
	}
	for _, tt := range tests {
		got, ok := measure.NewDistribution(upTo(tt.n)).Percentile(tt.p)
		if got != tt.want || ok != (tt.want != 0) {
			t.Errorf("p%v of %d samples = %v, %v; want %v", tt.p, tt.n, got, ok, tt.want)
		}
	}
}

func TestDistributionKeepsEverySample(t *testing.T) {
	sample := append(upTo(99), time.Hour)
	d := measure.NewDistribution(sample)
	if d.Len() != 100 || d.Max() != time.Hour {
		t.Errorf("%d samples, the largest %v: the outlier is gone", d.Len(), d.Max())
	}
	if want := (time.Hour + 99*100/2) / 100; d.Mean() != want {
		t.Errorf("mean %v, want %v", d.Mean(), want)
	}
	if e := measure.NewDistribution(nil); e.Mean() != 0 || e.Max() != 0 || e.Metrics() != nil {
		t.Error("an empty sample has figures")
	}
}

func ExampleDistribution_Percentile() {
	few := measure.NewDistribution([]time.Duration{1, 2, 3})
	_, ok := few.Percentile(50)
	fmt.Println("of 3:", ok)

	var enough []time.Duration
	for i := range 20 {
		enough = append(enough, time.Duration(i+1)*time.Millisecond)
	}
	p50, ok := measure.NewDistribution(enough).Percentile(50)
	fmt.Println("of 20:", p50, ok)
	// Output:
	// of 3: false
	// of 20: 10ms true
}
