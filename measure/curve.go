package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/aclements/go-moremath/stats"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// CurveOptions say how a Curve is measured.
type CurveOptions struct {
	// Instances are the numbers of instances, such as 1, 2, 4, 8 and 16. The
	// smallest is what the others are compared with.
	Instances []int
	// Windows is how often each is measured; 0 is 3.
	Windows int
	// Seed decides upon the order of the windows and upon who takes part.
	Seed    uint64
	Serving ServingOptions
}

// A Curve is how services did by how many they were.
type Curve struct{ Steps []CurveStep }

// A CurveStep is how so many instances did together, window by window.
type CurveStep struct {
	Instances int
	Windows   []*Serving
}

// ScalingCurve measures a fleet's services under load by how many of them take part.
// Each instance brings its own load: the plan's connections are those of one, and so
// many for each are spread over them in turn. Perfect scaling is a response time that
// does not change and a throughput that grows with the instances. The load is a
// closed loop, for the throughput of an open one is what is offered.
//
// Users ask again as soon as they are answered. Once the processors are busy the
// throughput can grow no more, and the response time grows as the users do, whatever
// serves them: twice the instances, with twice the users, answer half as fast. What
// Efficiency says of such numbers is by arithmetic, and the machine's.
//
// All instances that it takes are started first. Every number of them is measured
// once, in random order, before any is measured again, and by others of the fleet each
// time, so that windows have neither their moment nor their processes in common. Those
// that do not take part are idle. script is asked what the load is in the window
// with that number, from 0.
//
// A request that fails is an error, for windows with failures cannot be compared, and
// so is a window in which none is answered, as Serve has it.
func ScalingCurve(ctx context.Context, f *Fleet, plan load.Plan, script func(window int) (Script, error), opts CurveOptions) (*Curve, error) {
	numbers := slices.Compact(slices.Sorted(slices.Values(opts.Instances)))
	switch {
	case len(numbers) == 0 || numbers[0] < 1:
		return nil, fmt.Errorf("a scaling curve over %v instances: it takes one number or more, from 1 on", opts.Instances)
	case plan.Rate > 0:
		return nil, errors.New("a scaling curve in an open loop: its throughput would be what is offered; leave the rate 0")
	}
	if err := f.Resize(ctx, max(f.Len(), slices.Max(numbers))); err != nil {
		return nil, err
	}
	c := &Curve{}
	for _, n := range numbers {
		c.Steps = append(c.Steps, CurveStep{Instances: n})
	}
	random := rand.New(rand.NewPCG(opts.Seed, 0))
	window := 0
	for range cmp.Or(opts.Windows, 3) {
		for _, i := range random.Perm(len(c.Steps)) {
			s, err := script(window)
			window++
			if err != nil {
				return nil, err
			}
			step := &c.Steps[i]
			serving, err := step.measure(ctx, f, random, plan, s, opts.Serving)
			if err != nil {
				return nil, fmt.Errorf("%d instances, window %d: %w", step.Instances, len(step.Windows)+1, err)
			}
			step.Windows = append(step.Windows, serving)
		}
	}
	return c, nil
}

func (c *CurveStep) measure(ctx context.Context, f *Fleet, random *rand.Rand, plan load.Plan, s Script, opts ServingOptions) (*Serving, error) {
	all := f.Services()
	var some []runtime.Service
	for _, i := range random.Perm(len(all))[:c.Instances] {
		some = append(some, all[i])
	}
	plan.Connections = max(plan.Connections, 1) * c.Instances
	serving, err := Serve(ctx, some, plan, s, opts)
	if err == nil {
		err = serving.Err()
	}
	return serving, err
}

// Serving returns all windows of a step as one, with their histograms merged. What was
// in memory is that of the last. It is Skewed where one of them is.
func (c CurveStep) Serving() *Serving {
	sum := &Serving{Services: c.Instances}
	var results []*load.Result
	for _, w := range c.Windows {
		sum.Wall += w.Wall
		sum.BeginLate += w.BeginLate
		sum.EndLate += w.EndLate
		sum.skewed = sum.skewed || w.Skewed()
		sum.CPU += w.CPU
		sum.ShimCPU += w.ShimCPU
		sum.SharedCPU += w.SharedCPU
		sum.Memory, sum.Division = w.Memory, w.Division
		results = append(results, w.Result)
	}
	sum.Result = load.Merge(results...)
	return sum
}

// Points returns the throughput of each window, for FitUSL.
func (c *Curve) Points() (points []ScalePoint) {
	for _, step := range c.Steps {
		for _, w := range step.Windows {
			points = append(points, ScalePoint{step.Instances, w.Throughput()})
		}
	}
	return points
}

// Efficiency returns for each step after the first the median response time of the
// first by that of the step: 1 where more instances with as much more load answer as
// fast as few. Where the machine is busy it falls whatever runs: see ScalingCurve.
func (c *Curve) Efficiency() (all []float64) {
	var first float64
	for i, step := range c.Steps {
		median := float64(step.Serving().Result.Latency.ValueAtPercentile(50))
		if i == 0 {
			first = median
		} else if median > 0 {
			all = append(all, first/median)
		}
	}
	return all
}

// Metrics returns, where there is more than one step, the mean of Efficiency in eff-%
// and what the last of it lacks to 100 % in degradation-%, below 0 where it is faster;
// of the steps on which the machine was busy both say how busy, and nothing of the
// runtime. knee-inst is the knee of the Universal Scalability Law, where one was
// observed.
func (c *Curve) Metrics() []Metric {
	var ms []Metric
	if e := c.Efficiency(); len(e) > 0 {
		ms = append(ms, Metric{100 * stats.Mean(e), "eff-%"}, Metric{100 * (1 - e[len(e)-1]), "degradation-%"})
	}
	if u, err := FitUSL(c.Points()); err == nil {
		if knee, err := u.Knee(); err == nil {
			ms = append(ms, Metric{knee.Value, "knee-inst"})
		}
	}
	return ms
}
