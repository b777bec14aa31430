package measure

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// leastAchieved is the share of the offered rate below which a rate was not held.
const leastAchieved = 0.99

// Short tells whether less than 99 % of the offered rate was achieved: latencies are
// then those of a queue that grows and not of a service that keeps up. It is false
// in a closed loop.
func (s *Serving) Short() bool { return s.Result.Achieved() < leastAchieved }

// Throughput is how many requests a second were answered rightly.
func (s *Serving) Throughput() float64 {
	if s.Result.Elapsed <= 0 {
		return 0
	}
	return float64(s.Result.Completed) / s.Result.Elapsed.Seconds()
}

// mostSkew is the share of what counts by which a reading of processor time may be late.
const mostSkew = 0.1

// Skewed tells whether a reading of processor time was late by more than 10 % of what
// counts: what the services spent on a request is then uncertain, by as much where that
// was the first, and by what they do when nobody asks and for who is answered late
// where it was the last. The harness was not let run when it should have been: take a
// longer window or a machine that does less. Several windows as one are skewed where
// one of them is.
func (s *Serving) Skewed() bool {
	return s.skewed || max(s.BeginLate, s.EndLate).Seconds() > mostSkew*s.Result.Elapsed.Seconds()
}

// Percentile returns the latency at a percentile of all requests, by the histogram and
// so to three digits. Those that failed are slower than any that was answered rightly.
// ok is false where there were too few to carry it, as in Distribution.Percentile, and
// where the one at the percentile failed: with 1 of 100 failed there is a p99, which is
// the slowest of the 99, and no p99.9.
func (s *Serving) Percentile(p float64) (value time.Duration, ok bool) {
	return carriedBy(s.Result.Latency, s.Result.Failed, p)
}

// carriedBy returns a value of nanoseconds in a histogram and some more that are above
// all of it, where so many carry it and it is not one of these.
func carriedBy(h *hdrhistogram.Histogram, above int64, p float64) (value time.Duration, ok bool) {
	n := count(h)
	if n+above > math.MaxInt || !carried(int(n+above), p) {
		return 0, false
	}
	r := int64(rank(int(n+above), p))
	if r > n {
		return 0, false
	}
	return time.Duration(h.ValueAtPercentile(100 * float64(r) / float64(n))), true
}

// count is how many values a histogram has, none where a Loader has left it out.
func count(h *hdrhistogram.Histogram) int64 {
	if h == nil {
		return 0
	}
	return h.TotalCount()
}

// Metrics returns the throughput in req/s; the latency at those Percentiles that the
// requests carry, as Percentile has it, and the longest of those that were answered, in
// nanoseconds; and by request the processor time of the services' own processes in
// cpu-ns/req, of their shims in shim-cpu-ns/req and of shared processes in
// daemon-cpu-ns/req, where they took any, and of the generator in client-cpu-ns/req.
// failed is how many requests failed, where any did.
//
// client-wait-p99-ns is for how long, at least and at p99, an answer lay ready until the
// generator read it, and in an open loop lag-p99-ns how late the generator came to a
// request that was due: both are in the latencies and not the service's. achieved-% is
// how much of the offered rate of an open loop was achieved.
func (s *Serving) Metrics() []Metric {
	var ms []Metric
	if s.Result.Completed > 0 {
		ms = append(ms, Metric{s.Throughput(), "req/s"})
	}
	for _, p := range Percentiles {
		if v, ok := s.Percentile(p); ok {
			ms = append(ms, Metric{float64(v), percentileUnit(p)})
		}
	}
	if count(s.Result.Latency) > 0 {
		ms = append(ms, Metric{float64(s.Result.Latency.Max()), "max-ns"})
	}
	for _, spent := range []struct {
		time time.Duration
		unit string
	}{
		{s.CPU, "cpu-ns/req"},
		{s.ShimCPU, "shim-cpu-ns/req"},
		{s.SharedCPU, "daemon-cpu-ns/req"},
		{s.Result.CPU, "client-cpu-ns/req"},
	} {
		if spent.time > 0 && s.Result.Completed > 0 {
			ms = append(ms, Metric{float64(spent.time) / float64(s.Result.Completed), spent.unit})
		}
	}
	if v, ok := carriedBy(s.Result.Wait, 0, 99); ok {
		ms = append(ms, Metric{float64(v), "client-wait-p99-ns"})
	}
	if s.Result.Offered > 0 {
		ms = append(ms, Metric{100 * s.Result.Achieved(), "achieved-%"})
		if v, ok := carriedBy(s.Result.Lag, 0, 99); ok {
			ms = append(ms, Metric{float64(v), "lag-p99-ns"})
		}
	}
	if s.Result.Failed > 0 {
		ms = append(ms, Metric{float64(s.Result.Failed), "failed"})
	}
	return ms
}
