package wasmbench

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// BenchmarkResources is the article's resources for 1000 requests a second: the fewest
// instances of the shop that answer -resources.rate requests a second of
// BenchmarkEcommerce's mix, with the latency at p99 within -resources.p99 and none
// failed. inst is how many those are, cores how many processors their own processes
// kept busy and pss-B what they had in memory, all of them together, at that rate. Comments tell
// which numbers did not suffice and why. Where the load generator was too late itself to
// tell, there is no figure.
func BenchmarkResources(b *testing.B) {
	dir, err := scratchSubdir("resources")
	if err != nil {
		b.Fatal(err)
	}
	eachServing(b, shopTable(dir, fewerServing), func(b *testing.B, c cell[*servers]) {
		for _, way := range ways(c.candidate, false, false) {
			b.Run(way.String(), func(b *testing.B) {
				lasting(b, func() []measure.Metric { return resources(b, c, way, dir) })
			})
		}
	})
}

func resources(b *testing.B, c cell[*servers], w way, dir string) []measure.Metric {
	if err := errors.Join(c.image.forget(w), stock(dir)); err != nil {
		b.Fatal(err)
	}
	f := fleet(b, c, w)
	defer closeInstance(b, f)
	plan := demand{rate: *flagNeedRate}.plan()
	plan.Duration = *flagNeedTime
	next := func(window int) (measure.Script, error) {
		return customers(b, shop.Mix, window*buyers()).Script, nil
	}
	need, err := measure.Needed(b.Context(), f, plan, next, measure.NeedOptions{P99: *flagNeedP99, Most: *flagNeedMost})
	if less := (*measure.NotSustainedError)(nil); errors.As(err, &less) {
		tell(b, less.Tried)
		b.Skip(err)
	}
	if unknown := (*measure.UndecidedError)(nil); errors.As(err, &unknown) {
		tell(b, unknown.Tried)
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	tell(b, need.Tried)
	tellSkew(b, need.Serving)
	if err := audit(b.Context(), dir, "", need.Serving); err != nil {
		b.Fatal(err)
	}
	return need.Metrics()
}

// tell says why a number of instances was not taken, or was asked again.
func tell(b *testing.B, tried []measure.Trial) {
	b.Helper()
	for _, t := range tried {
		verdict := "not by %d instances"
		if t.Undecided {
			verdict = "the load generator was late, nothing is known of %d instances"
		}
		if t.Err != nil {
			comment("%s: "+verdict+": %s; %.0f a second were answered", b.Name(), t.Instances, oneLine(t.Err.Error()), t.Serving.Throughput())
		}
	}
}

// fleet returns services of a cell, none of which has been started.
func fleet(b *testing.B, c cell[*servers], w way) *measure.Fleet {
	b.Helper()
	img, err := c.image.image(b.Context(), w)
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	return measure.NewFleet(img, c.workload, *flagOpLimit)
}

// BenchmarkScaling is the article's scaling behaviour: -knee.instances services of one
// guest, each with -knee.users users of its own, who ask again when they have been
// answered and are spread over the services in turn. Perfect scaling is a throughput
// that grows with the instances and a response time that stays; once the processors are
// busy neither can, whatever the runtime. A line has what so
// many instances reached together in -knee.windows windows. That of the most has the
// article's figures for all of them: eff-% is the mean of the response times' median of
// one instance by that of more, degradation-% what the last of these lacks to 100; and
// knee-inst is where the throughput begins to fall by the Universal Scalability Law,
// or a comment tells why no such knee was observed.
func BenchmarkScaling(b *testing.B) {
	t := table{workload: "json", guests: []workload.Language{workload.Go}, runtimes: []string{"native", "wasmtime", "containerd"},
		guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }}
	eachServing(b, t, func(b *testing.B, c cell[*servers]) {
		for _, way := range ways(c.candidate, false, false) {
			b.Run(way.String(), func(b *testing.B) { benchmarkCurve(b, c, way) })
		}
	})
}

// benchmarkCurve measures all numbers of instances when the first is asked for, and
// again when one is asked for again, by -count.
func benchmarkCurve(b *testing.B, c cell[*servers], w way) {
	var curve *measure.Curve
	var failed error
	told := map[int]bool{}
	for _, n := range suite.knee {
		b.Run("instances="+strconv.Itoa(n), func(b *testing.B) {
			lasting(b, func() []measure.Metric {
				if failed == nil && (curve == nil || told[n]) {
					curve, failed = measureCurve(b, c, w)
					clear(told)
				}
				if failed != nil {
					b.Fatal(failed)
				}
				told[n] = true
				i := slices.IndexFunc(curve.Steps, func(s measure.CurveStep) bool { return s.Instances == n })
				tellSkew(b, curve.Steps[i].Windows...)
				metrics := curve.Steps[i].Serving().Metrics()
				if i == len(curve.Steps)-1 {
					metrics = append(metrics, curve.Metrics()...)
					comment("%s: %s", b.Name(), law(curve))
				}
				return metrics
			})
		})
	}
}

func measureCurve(b *testing.B, c cell[*servers], w way) (*measure.Curve, error) {
	f := fleet(b, c, w)
	defer closeInstance(b, f)
	if err := f.Resize(b.Context(), 1); err != nil {
		return nil, err
	}
	d := exchanges(b, f.Services()[0], c.workload)
	plan := d.plan()
	plan.Connections, plan.Duration = *flagKneeUsers, *flagKneeTime
	return measure.ScalingCurve(b.Context(), f, plan, func(int) (measure.Script, error) { return d.Script, nil },
		measure.CurveOptions{Instances: suite.knee, Windows: *flagKneeWindows, Seed: *flagSeed})
}

// law tells in a line what the Universal Scalability Law makes of a curve.
func law(curve *measure.Curve) string {
	u, err := measure.FitUSL(curve.Points())
	if err != nil {
		return oneLine(err.Error())
	}
	of := func(name string, e measure.Estimate) string {
		return fmt.Sprintf("%s=%.3g (%.3g to %.3g)", name, e.Value, e.Low, e.High)
	}
	s := fmt.Sprintf("Universal Scalability Law, on %d processors: λ=%.0f/s, %s, %s; ", goruntime.NumCPU(), u.Lambda, of("σ", u.Sigma), of("κ", u.Kappa))
	knee, err := u.Knee()
	if err != nil {
		return s + err.Error()
	}
	return s + of("knee", knee)
}
