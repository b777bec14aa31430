package wasmbench

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkMemoryScaling is the article's memory over the number of instances:
// that many are held, each has answered, and what all take together is read once
// it has settled. inst-B is the slope over the numbers so far of what total-B has,
// with the kernel's part also where that is below its floor, and with the interval
// of measure.Scaling.Fit; base-B is the line's intercept, and available-B the slope
// of the memory that the host no longer has available. With shim=shared all
// containers are under one shim.
func BenchmarkMemoryScaling(b *testing.B) {
	findKernelFloor(b)
	t := table{workload: "hello", guest: hello, as: crowd, guests: []workload.Language{workload.C},
		runtimes: []string{"native", "wasmtime", "wasmtime-embedded", "containerd", "containerd-wasmtime"}}
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		benchmarkScaling(b, c)
		manager, ok := c.Runtime.(*containerd.Runtime)
		if !ok || c.Name() != "containerd" {
			return
		}
		b.Run("shim=shared", func(b *testing.B) {
			img, err := manager.SharedShim().Prepare(b.Context(), c.workload)
			if err != nil {
				absent(b, c.language, c.Name(), err)
			}
			defer closeInstance(b, img)
			c.image = img
			benchmarkScaling(b, c)
		})
	})
}

// benchmarkScaling grows one population from number to number. A number that is
// asked for again, by -count, has a population of its own.
func benchmarkScaling(b *testing.B, c cell[runtime.Image]) {
	var p *measure.Population
	var s *measure.Scaling
	begin := func(b *testing.B) {
		if p != nil {
			closeInstance(b, p)
		}
		p = newPopulation(c)
		s = newScaling(b, p)
	}
	begin(b)
	defer func() { closeInstance(b, p) }()
	var ended error
	for i, n := range suite.scaling {
		b.Run("instances="+strconv.Itoa(n), func(b *testing.B) {
			lasting(b, func() []measure.Metric {
				if ended == nil && p.Len() >= n {
					begin(b)
					for _, smaller := range suite.scaling[:i] {
						if _, err := s.Measure(b.Context(), smaller); err != nil {
							absent(b, c.language, c.Name(), err)
						}
					}
				}
				if ended != nil {
					b.Skip(ended)
				}
				before := p.Len()
				h, err := s.Measure(b.Context(), n)
				if limit := (*measure.LimitReached)(nil); errors.As(err, &limit) {
					comment("ended %s: %s; these take %d bytes in all", b.Name(), oneLine(limit.Error()), h.Total())
					ended = limit
					b.Skip(limit)
				}
				if err != nil {
					absent(b, c.language, c.Name(), err)
				}
				return slices.Concat(h.Metrics(), measure.StartMetrics(p.Timelines()[before:]), slope(b, s))
			})
		})
	}
}

func newScaling(b *testing.B, p *measure.Population) *measure.Scaling {
	s, err := measure.NewScaling(b.Context(), p, holdOptions())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// crowd returns a candidate that holds as many instances as the flags ask for.
// Wasmtime's pool must be made that large, and one of over a thousand keeps
// nothing for the next start, so it is not the one whose starts are measured.
func crowd(c *candidate) *candidate {
	const pool, always = 1000, 14000 // its default, and what every process has addresses for
	n := max(*flagDensity, slices.Max(suite.scaling))
	if c.Name() != "wasmtime-embedded" || n <= pool {
		return c
	}
	large := *c
	large.Runtime = wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.API(*flagWasmtimeAPI), MaxInstances: min(n, always)})
	once("# runtime %s, where many instances are held: a pool of %d\n", c.Name(), min(n, always))
	return &large
}

// newPopulation returns a population of a cell's image that grows as the flags
// say.
func newPopulation(c cell[runtime.Image]) *measure.Population {
	parallel := 0
	if _, ok := c.image.(runtime.StartTimer); ok {
		parallel = 1 // in one process they would only wait for each other
	}
	last := time.Now()
	return measure.NewPopulation(c.image, c.workload, measure.PopulationOptions{
		Parallel:       parallel,
		OperationLimit: *flagOpLimit,
		Limits:         measure.Limits{FreeMemory: *flagFreeMemory << 20, Time: *flagHoldTime},
		Progress: func(held int) {
			if !suite.midLine && time.Since(last) > 5*time.Second {
				last = time.Now()
				progress("%d instances of %s are held", held, c.workload.Name())
			}
		},
	})
}

// slope is what the line through all holdings so far says, where there are
// enough of them and it is known to rise.
func slope(b *testing.B, s *measure.Scaling) []measure.Metric {
	line, err := s.Fit()
	if err != nil {
		return nil
	}
	if !line.Grows() {
		comment("no slope of %s: it may be nothing, with an interval from %.0f to %.0f bytes an instance; hold more", b.Name(), line.SlopeLow, line.SlopeHigh)
		return nil
	}
	metrics := []measure.Metric{
		{Value: line.Slope, Unit: "inst-B"}, {Value: line.SlopeLow, Unit: "inst-low-B"}, {Value: line.SlopeHigh, Unit: "inst-high-B"},
		{Value: line.Intercept, Unit: "base-B"},
	}
	if available, err := s.FitAvailable(); err == nil && available.Grows() { // else what the host does besides hides it
		metrics = append(metrics, measure.Metric{Value: available.Slope, Unit: "available-B"})
	}
	return metrics
}

// BenchmarkDensity is the article's instances per host: as many as -density.instances
// or -density.containers say, or the first limit allows, are held, and all of
// them have answered; once memory has settled a sample is asked again. inst is
// how many there are on this host, ended-by-NAME what ended the growth. inst-128GB is
// an extrapolation: how many the memory of a host with 128 GiB would hold by the
// line through several numbers of them, with the interval that the
// slope's has of 95 %; other limits may come first there.
//
// The four apps differ in the memory that an instance works on: hello has none,
// webapi a catalogue of products, microservice orders with an index of customers,
// dataprocessor a batch of numbers that it reads whole; their constructors in
// package workload tell the sizes.
func BenchmarkDensity(b *testing.B) {
	findKernelFloor(b)
	for _, app := range workload.Apps() {
		t := table{workload: app, guest: func(l workload.Language) (workload.Workload, error) {
			g, err := workload.App(app, l)
			if err != nil {
				return nil, err
			}
			return onBase(g), nil
		}, as: crowd, guests: []workload.Language{workload.C}, runtimes: []string{"wasmtime", "containerd"}}
		eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
			b.Run("app="+app, func(b *testing.B) {
				lasting(b, func() []measure.Metric { return density(b, c) })
			})
		})
	}
}

// asked is how many of the instances that are held are asked again.
const asked = 100

func density(b *testing.B, c cell[runtime.Image]) []measure.Metric {
	p := newPopulation(c)
	defer closeInstance(b, p)
	s := newScaling(b, p)
	most, ended := *flagDensity, "flag"
	if slices.Contains([]string{"runc", "containerd", "docker", "containerd-wasmtime"}, c.Name()) {
		most = *flagContainers
	}
	var h measure.Holding
	var err error
	for _, n := range steps(most) {
		if h, err = s.Measure(b.Context(), n); err != nil {
			break
		}
	}
	switch limit := (*measure.LimitReached)(nil); {
	case errors.As(err, &limit):
		ended = string(limit.Limit)
		comment("ended %s: %s", b.Name(), oneLine(limit.Error()))
		if p.Len() == 0 {
			b.Skip(limit)
		}
	case err != nil:
		absent(b, c.language, c.Name(), err)
	}
	if err := p.Check(b.Context(), asked); err != nil {
		b.Fatalf("asking %d of the %d instances that are held: %v", min(asked, p.Len()), p.Len(), err)
	}
	metrics := slices.Concat([]measure.Metric{{Value: float64(h.Instances), Unit: "inst"}, {Value: 1, Unit: "ended-by-" + ended}},
		h.Metrics(), measure.StartMetrics(p.Timelines()), slope(b, s), extrapolated(s))
	i := slices.IndexFunc(metrics, func(m measure.Metric) bool { return m.Unit == "inst/s" })
	if i >= 0 { // of the last step
		metrics[i].Value = s.Rate()
	}
	return metrics
}

// steps are the numbers of instances through which a line is laid: doubled from
// a few, so that there is a line below every limit.
func steps(most int) (ns []int) {
	for n := max(1, min(most/4, 25)); n < most*3/4; n *= 2 {
		ns = append(ns, n)
	}
	return append(ns, most)
}

// extrapolated tells how many instances fit in the memory of a larger host where
// the line leads: what stays free there is the same share, and what the system and
// other programs have is as much as here.
func extrapolated(s *measure.Scaling) []measure.Metric {
	const host, free = 128 << 30, 128 << 30 / 16
	line, err := s.Fit()
	if err != nil || !line.Grows() {
		return nil
	}
	used := s.Before().Total - s.Before().Available
	n, low, high := line.Fits(float64(host - free - used))
	return []measure.Metric{{Value: n, Unit: "inst-128GB"}, {Value: low, Unit: "inst-128GB-low"}, {Value: high, Unit: "inst-128GB-high"}}
}
