package measure

import (
	"fmt"
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// A ScalePoint is the throughput that so many instances reached together in one
// window of time.
type ScalePoint struct {
	Instances  int
	Throughput float64 // requests a second
}

// An Estimate is a value that was fitted, and the interval that holds it. High may
// be +Inf.
type Estimate struct{ Value, Low, High float64 }

// A USL is a fit of the Universal Scalability Law: together N instances reach the
// throughput
//
//	X(N) = λN / (1 + σ(N-1) + κN(N-1))
//
// where λ is what one reaches alone, σ the share of the work that waits for what
// all have in common, and κ what each spends on every other. Where κ is 0 the
// throughput levels off at λ/σ; where it is not, it falls after N = √((1-σ)/κ), the
// knee. Source: Gunther, Guerrilla Capacity Planning, chapters 4 to 6.
type USL struct {
	Lambda     float64 // requests a second
	Sigma      Estimate
	Kappa      Estimate
	Confidence float64 // of the intervals
	Points     int     // that were fitted
	Largest    int     // number of instances of any

	knee  Estimate
	falls bool
}

// FitUSL fits the law to points at three numbers of instances or more, several at
// each. Neither σ nor κ is below 0.
//
// Points are taken to be off by chance, by a share of the throughput that is the
// same for all, and independently: whoever measures lets those of one number of
// instances have no moment in common that those of another have not. The intervals,
// of 95 %, are by profile: each holds the values with which the law, all else of it
// fitted anew, is no further from the points than chance would have it by an F-test.
// Source: Bates and Watts, Nonlinear Regression Analysis and Its Applications,
// chapter 6.
//
// That an interval excludes 0 tells nothing where the curve is not of the law's
// kind: instances that share a few processors gain until these are busy and nothing
// thereafter, and the law, which has no such corner, is nearest to that with a κ. A
// knee therefore takes more: see Knee.
func FitUSL(points []ScalePoint) (*USL, error) {
	f, err := newUSLFit(points)
	if err != nil {
		return nil, fmt.Errorf("fitting the Universal Scalability Law: %w", err)
	}
	ofKappa := func(k float64) float64 { return f.off(f.sigma(k), k) }
	ofSigma := func(s float64) float64 {
		return f.off(s, f.kappas.least(func(k float64) float64 { return f.off(s, k) }))
	}
	kappa := f.kappas.least(ofKappa)
	sigma := f.sigma(kappa)
	most := f.off(sigma, kappa) + f.chance(f.off(sigma, kappa))
	u := &USL{
		Lambda:     math.Exp(-f.level(sigma, kappa)),
		Sigma:      f.sigmas.interval(sigma, most, ofSigma),
		Kappa:      f.kappas.interval(kappa, most, ofKappa),
		Confidence: Confidence,
		Points:     f.points,
		Largest:    f.steps[len(f.steps)-1].instances,
		falls:      f.offRising() > f.off(sigma, kappa),
	}
	knee := math.Sqrt(max(0, 1-sigma) / kappa)
	if kappa == 0 {
		knee = math.Inf(1)
	}
	u.knee = axis{1, float64(u.Largest)}.interval(max(1, knee), most, f.ofKnee)
	return u, nil
}

// Throughput is the law's of n instances, requests a second.
func (u *USL) Throughput(n int) float64 {
	N := float64(n)
	return u.Lambda * N / (1 + u.Sigma.Value*(N-1) + u.Kappa.Value*N*(N-1))
}

// Knee returns the number of instances beyond which the throughput falls, 1 where
// it does from the first on. Where none was observed the error is a *NoKneeError.
//
// One is observed where κ's interval excludes 0, the knee is below the most
// instances that were measured, and the law is nearer to the points than any curve
// is that never falls. With points that are off by 5 %, a knee in the first half
// of what was measured is observed practically always and then within 15 %, one
// near the end hardly ever: measure further. Of flat curves some 3 in 100 seem to have
// one, of others that level off, with a corner or without, hardly any.
func (u *USL) Knee() (Estimate, error) {
	none := &NoKneeError{Largest: u.Largest}
	switch {
	case u.Kappa.Low <= 0:
		none.Why = "the interval of κ includes 0"
	case u.knee.Value >= float64(u.Largest):
		none.Why = fmt.Sprintf("the law's is at %.3g", u.knee.Value)
	case !u.falls:
		none.Why = fmt.Sprintf("the law's is at %.3g, but a curve that never falls is as near to what was measured", u.knee.Value)
	default:
		return u.knee, nil
	}
	return Estimate{}, none
}

// A NoKneeError says that no knee was observed.
type NoKneeError struct {
	Largest int    // number of instances up to which there is none to be seen
	Why     string // as a clause
}

func (e *NoKneeError) Error() string {
	return fmt.Sprintf("no knee observed up to %d instances: %s", e.Largest, e.Why)
}

// A uslFit is what the law is fitted to: the logarithms of the time that an
// instance has for a request, N/X(N), where a share of the throughput is the same
// length everywhere.
type uslFit struct {
	steps          []uslStep // by instances
	points         int
	within         float64 // squares of the points about the mean of their step
	sigmas, kappas axis
}

// A uslStep is the points of one number of instances.
type uslStep struct {
	instances  int
	n          float64 // instances
	weight     float64 // points
	mean       float64 // of the logarithms
	throughput float64 // the logarithm of it
}

func newUSLFit(points []ScalePoint) (*uslFit, error) {
	logs := map[int][]float64{}
	for _, p := range points {
		y := math.Log(float64(p.Instances) / p.Throughput)
		if p.Instances < 1 || math.IsNaN(y) || math.IsInf(y, 0) {
			return nil, fmt.Errorf("%d instances with %v requests a second are no point of a curve", p.Instances, p.Throughput)
		}
		logs[p.Instances] = append(logs[p.Instances], y)
	}
	if len(logs) < 3 {
		return nil, fmt.Errorf("points at %d numbers of instances: it takes 3", len(logs))
	}
	f := &uslFit{points: len(points)}
	if f.points <= uslParameters {
		return nil, fmt.Errorf("%d points do not tell how far off they are: it takes %d", f.points, uslParameters+1)
	}
	for instances, ys := range logs {
		s := uslStep{instances: instances, n: float64(instances), weight: float64(len(ys)), mean: stats.Mean(ys)}
		s.throughput = math.Log(s.n) - s.mean
		for _, y := range ys {
			f.within += (y - s.mean) * (y - s.mean)
		}
		f.steps = append(f.steps, s)
	}
	slices.SortFunc(f.steps, func(a, b uslStep) int { return a.instances - b.instances })
	largest := f.steps[len(f.steps)-1].n
	f.sigmas = axis{0, 1 / (largest - 1)}
	f.kappas = axis{0, 1 / (largest * (largest - 1))}
	return f, nil
}

// uslParameters is how many the law has.
const uslParameters = 3

// fit returns the mean of what lies between the points and the law without λ, and
// the squares of the steps about it.
func (f *uslFit) fit(sigma, kappa float64) (mean, squares float64) {
	var weight float64
	for _, s := range f.steps {
		r := s.mean - math.Log(1+(sigma+kappa*s.n)*(s.n-1))
		weight += s.weight
		d := r - mean
		mean += d * s.weight / weight
		squares += s.weight * d * (r - mean)
	}
	return mean, squares
}

// level returns the logarithm of 1/λ.
func (f *uslFit) level(sigma, kappa float64) float64 {
	mean, _ := f.fit(sigma, kappa)
	return mean
}

// off returns how far the law is from the steps with the best λ, in squares.
func (f *uslFit) off(sigma, kappa float64) float64 {
	_, squares := f.fit(sigma, kappa)
	return squares
}

// sigma returns the best σ for a κ.
func (f *uslFit) sigma(kappa float64) float64 {
	return f.sigmas.least(func(s float64) float64 { return f.off(s, kappa) })
}

// ofKnee returns how far the law is off with a knee, the best σ and the best λ.
func (f *uslFit) ofKnee(knee float64) float64 {
	shares := func(u float64) float64 { return f.off(u, (1-u)/(knee*knee)) }
	return shares(goldenSection(shares))
}

// chance returns by how much more a parameter may take the law off than the least.
func (f *uslFit) chance(least float64) float64 {
	free := float64(f.points - uslParameters)
	t := stats.InvCDF(stats.TDist{V: free})(0.5 + Confidence/2)
	return t * t * (least + f.within) / free
}

// offRising returns how far the nearest curve is from the steps that never falls, in
// squares: the isotonic regression, by pooling adjacent violators. Source: Barlow,
// Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions,
// section 1.2.
func (f *uslFit) offRising() (squares float64) {
	type block struct{ weight, mean float64 }
	var blocks []block
	for _, s := range f.steps {
		b := block{s.weight, s.throughput}
		for last := len(blocks) - 1; last >= 0 && blocks[last].mean > b.mean; last-- {
			a := blocks[last]
			blocks = blocks[:last]
			both := a.weight + b.weight
			squares += a.weight * b.weight / both * (a.mean - b.mean) * (a.mean - b.mean)
			b = block{both, (a.weight*a.mean + b.weight*b.mean) / both}
		}
		blocks = append(blocks, b)
	}
	return squares
}

// An axis is the values from an origin up, without end, as positions from 0 to 1: scale
// is as far from the origin as the middle.
type axis struct{ origin, scale float64 }

// axisEnd is the last position that counts as finite.
const axisEnd = 1 - 1e-9

func (a axis) at(position float64) float64 {
	return a.origin + a.scale*position/(1-position)
}

func (a axis) position(value float64) float64 {
	if math.IsInf(value, 1) {
		return axisEnd
	}
	return min((value-a.origin)/(value-a.origin+a.scale), axisEnd)
}

// least returns the value at which f, which has one minimum, is least.
func (a axis) least(f func(float64) float64) float64 {
	return a.at(axisEnd * goldenSection(func(p float64) float64 { return f(a.at(axisEnd * p)) }))
}

// interval returns the values about the best one with which f is at most so much.
func (a axis) interval(best, most float64, f func(float64) float64) Estimate {
	inside := func(p float64) bool { return f(a.at(p)) <= most }
	p := a.position(best)
	e := Estimate{Value: best, Low: a.origin, High: math.Inf(1)}
	if !inside(0) {
		e.Low = min(best, a.at(edge(p, 0, inside)))
	}
	if !inside(axisEnd) {
		e.High = max(best, a.at(edge(p, axisEnd, inside)))
	}
	return e
}

// rounds is how often what is left of an axis is divided: what remains is less than
// a millionth of it.
const rounds = 30

// edge returns the position between one inside and one outside at which it changes.
func edge(in, out float64, inside func(float64) bool) float64 {
	for range rounds {
		if middle := (in + out) / 2; inside(middle) {
			in = middle
		} else {
			out = middle
		}
	}
	return in
}

// goldenSection returns the place between 0 and 1 at which f, which has one
// minimum, is least: 0 itself where no other is better.
func goldenSection(f func(float64) float64) float64 {
	const share = 1 / math.Phi
	a, b := 0.0, 1.0
	x, y := b-share*(b-a), a+share*(b-a)
	fx, fy := f(x), f(y)
	for range rounds {
		if fx < fy {
			b, y, fy = y, x, fx
			x = b - share*(b-a)
			fx = f(x)
		} else {
			a, x, fx = x, y, fy
			y = a + share*(b-a)
			fy = f(y)
		}
	}
	if f(0) <= min(fx, fy) {
		return 0
	}
	return (a + b) / 2
}
