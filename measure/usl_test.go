package measure_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aclements/go-moremath/stats"

	"github.com/seed-0132abb7/wasmbench/measure"
)

// law returns the throughput by the Universal Scalability Law of λ = 1000.
func law(sigma, kappa float64) func(n float64) float64 {
	return func(n float64) float64 { return 1000 * n / (1 + sigma*(n-1) + kappa*n*(n-1)) }
}

// kneeAt returns the law with that knee.
func kneeAt(n, sigma float64) func(n float64) float64 { return law(sigma, (1-sigma)/(n*n)) }

// processors returns the throughput of instances that share so many.
func processors(c float64) func(n float64) float64 {
	return func(n float64) float64 { return 1000 * min(n, c) }
}

// levelling is as processors with the corner rounded off.
func levelling(c float64) func(n float64) float64 {
	return func(n float64) float64 { return 1000 * n / math.Pow(1+math.Pow(n/c, 4), 0.25) }
}

// scaled draws points from a curve, each off by 5 %.
func scaled(seed uint64, instances []int, windows int, curve func(float64) float64) (points []measure.ScalePoint) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range windows {
		for _, n := range instances {
			points = append(points, measure.ScalePoint{Instances: n, Throughput: curve(float64(n)) * (1 + 0.05*r.NormFloat64())})
		}
	}
	return points
}

// upTo32 is every number of instances from 1 to 32.
func upTo32() (all []int) {
	for n := 1; n <= 32; n++ {
		all = append(all, n)
	}
	return all
}

// bound returns what a count out of n is above only once in a thousand times where its
// rate is p.
func bound(n int, p float64) int {
	d := stats.BinomialDist{N: n, P: p}
	for k := range n {
		if d.CDF(float64(k)) >= 0.999 {
			return k
		}
	}
	return n
}

// Of points that are off by 5 % a knee in the first half of what was measured is
// observed within 15 % of where it is, and none where there is none.
func TestKneeRates(t *testing.T) {
	doubling, every := []int{1, 2, 4, 8, 16}, upTo32()
	seeds := map[int]int{len(doubling): 60, len(every): 20} // a fit takes as long as there are numbers
	tests := []struct {
		name      string
		instances []int
		windows   int
		curve     func(float64) float64
		knee      float64 // 0 for none
		rate      float64 // of seeds with which it is missed, or none is not told
	}{
		{"knee 6", doubling, 3, kneeAt(6, 0.05), 6, 0.01},
		{"knee 8", doubling, 3, kneeAt(8, 0.02), 8, 0.05},
		{"knee 2", doubling, 3, kneeAt(2, 0.5), 2, 0.01},
		{"knee 6 and a wide top", doubling, 3, kneeAt(6, 0.3), 6, 0.02},
		{"falls from the first on", doubling, 3, law(1.2, 0.05), 1, 0.03},
		{"straight line", doubling, 3, law(0, 0), 0, 0.03},
		{"Amdahl", doubling, 3, law(0.05, 0), 0, 0.03},
		{"Amdahl, much shared", doubling, 3, law(0.3, 0), 0, 0.03},
		{"flat", doubling, 3, law(1, 0), 0, 0.03},
		{"2 processors", doubling, 3, processors(2), 0, 0.03},
		{"4 processors", doubling, 3, processors(4), 0, 0.03},
		{"8 processors", doubling, 3, processors(8), 0, 0.03},
		{"levels off at 4", doubling, 3, levelling(4), 0, 0.03},
		{"levels off at 8", doubling, 3, levelling(8), 0, 0.03},
		{"knee 8 of 32", every, 1, kneeAt(8, 0.05), 8, 0.01},
		{"knee 16 of 32", every, 1, kneeAt(16, 0.02), 16, 0.1},
		{"straight line to 32", every, 1, law(0, 0), 0, 0.03},
		{"flat to 32", every, 1, law(1, 0), 0, 0.03},
		{"8 processors to 32", every, 1, processors(8), 0, 0.03},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, missed := seeds[len(tt.instances)], 0
			var how error
			for seed := range uint64(n) {
				u, err := measure.FitUSL(scaled(seed, tt.instances, tt.windows, tt.curve))
				if err != nil {
					t.Fatal(err)
				}
				knee, err := u.Knee()
				if err != nil && !errors.As(err, new(*measure.NoKneeError)) {
					t.Fatal(err)
				}
				if (err == nil) != (tt.knee > 0) || math.Abs(knee.Value-tt.knee) > 0.15*tt.knee {
					missed++
					how = fmt.Errorf("seed %d: knee %+v, error %v, σ %+v, κ %+v", seed, knee, err, u.Sigma, u.Kappa)
				}
			}
			t.Logf("missed %d of %d", missed, n)
			if most := bound(n, tt.rate); missed > most {
				t.Errorf("missed %d of %d, where %d are chance; %v", missed, n, most, how)
			}
		})
	}
}

// Intervals of 95 % hold what they are about with 95 of 100 seeds, or more where
// the value is at the end of what it may be.
func TestUSLIntervals(t *testing.T) {
	const sigma, n, seeds = 0.1, 5.0, 200
	kappa := (1 - sigma) / (n * n)
	var sigmas, kappas, knees int
	for seed := range uint64(seeds) {
		u, err := measure.FitUSL(scaled(seed, []int{1, 2, 3, 4, 6, 8, 12, 16}, 2, law(sigma, kappa)))
		if err != nil {
			t.Fatal(err)
		}
		outside := func(e measure.Estimate, v float64) int {
			if e.Low > e.Value || e.High < e.Value {
				t.Fatalf("seed %d: the interval %+v is not about its value", seed, e)
			}
			if v < e.Low || v > e.High {
				return 1
			}
			return 0
		}
		sigmas += outside(u.Sigma, sigma)
		kappas += outside(u.Kappa, kappa)
		knee, err := u.Knee()
		if err != nil {
			t.Fatal(err)
		}
		knees += outside(knee, n)
	}
	t.Logf("of %d intervals %d of σ, %d of κ and %d of the knee miss it", seeds, sigmas, kappas, knees)
	for name, missed := range map[string]int{"σ": sigmas, "κ": kappas, "the knee": knees} {
		if most := bound(seeds, 0.05); missed > most || missed == 0 {
			t.Errorf("%d of %d intervals of %s miss it, where 1 to %d are right", missed, seeds, name, most)
		}
	}
}

// Points without chance give back the law that they are of.
func TestFitUSLExactly(t *testing.T) {
	for _, tt := range []struct{ sigma, kappa float64 }{{0, 0}, {0.2, 0}, {0, 0.01}, {0.05, 0.02}, {1.2, 0}, {1.1, 0.1}} {
		var points []measure.ScalePoint
		for _, n := range []int{16, 1, 2, 8, 4, 2} {
			points = append(points, measure.ScalePoint{Instances: n, Throughput: law(tt.sigma, tt.kappa)(float64(n))})
		}
		u, err := measure.FitUSL(points)
		if err != nil {
			t.Fatal(err)
		}
		if u.Points != 6 || u.Largest != 16 || u.Confidence != measure.Confidence {
			t.Errorf("%+v", u)
		}
		for _, c := range []struct {
			name      string
			got, want float64
		}{{"λ", u.Lambda, 1000}, {"σ", u.Sigma.Value, tt.sigma}, {"κ", u.Kappa.Value, tt.kappa}, {"X(5)", u.Throughput(5), law(tt.sigma, tt.kappa)(5)}} {
			if math.Abs(c.got-c.want) > 1e-4*max(1, c.want) {
				t.Errorf("σ = %v, κ = %v: %s is %v, want %v", tt.sigma, tt.kappa, c.name, c.got, c.want)
			}
		}
		if knee, err := u.Knee(); (err == nil) != (tt.kappa > 0) {
			t.Errorf("σ = %v, κ = %v: knee %+v, error %v", tt.sigma, tt.kappa, knee, err)
		}
	}
}

func TestFitUSLFails(t *testing.T) {
	line := func(n ...int) (ps []measure.ScalePoint) {
		for _, n := range n {
			ps = append(ps, measure.ScalePoint{Instances: n, Throughput: float64(n)})
		}
		return ps
	}
	for _, tt := range []struct {
		name   string
		points []measure.ScalePoint
		says   string
	}{
		{"none", nil, "at 0 numbers"},
		{"two numbers", line(1, 2, 1, 2, 1, 2), "it takes 3"},
		{"three points", line(1, 2, 4), "it takes 4"},
		{"no instance", line(1, 2, 4, 0), "0 instances"},
		{"nothing done", append(line(1, 2, 4), measure.ScalePoint{Instances: 8}), "8 instances with 0"},
		{"not a number", append(line(1, 2, 4), measure.ScalePoint{Instances: 8, Throughput: math.NaN()}), "NaN"},
	} {
		if u, err := measure.FitUSL(tt.points); err == nil || u != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %+v, error %v", tt.name, u, err)
		}
	}
}
