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

// mostSkew is the share of what counts by which the readings of processor time may be
// further or less far apart.
const mostSkew = 0.1

// Skewed tells whether the readings of processor time were over more than 10 % more or
// less time than what counts: so much of that time the services may not have been under
// load, and what they spent on a request is uncertain by as much. The harness was not
// let run when it should have been: take a longer window or a machine that does less.
func (s *Serving) Skewed() bool {
	return math.Abs(s.Wall.Seconds()-s.Result.Elapsed.Seconds()) > mostSkew*s.Result.Elapsed.Seconds()
}

// Percentile returns the latency of the requests that were answered rightly at a
// percentile, by the histogram and so to three digits. ok is false where there were too
// few to carry it, as in Distribution.Percentile, and where the percentile of all
// requests is one that failed: with 1 of 100 failed there is a p99 and no p99.9.
func (s *Serving) Percentile(p float64) (value time.Duration, ok bool) {
	h := s.Result.Latency
	if n := h.TotalCount(); p*float64(n+s.Result.Failed) > 100*float64(n) {
		return 0, false
	}
	return carriedBy(h, p)
}

// carriedBy returns a value of a histogram of nanoseconds where that carries it.
func carriedBy(h *hdrhistogram.Histogram, p float64) (value time.Duration, ok bool) {
	if n := h.TotalCount(); n > math.MaxInt || !carried(int(n), p) {
		return 0, false
	}
	return time.Duration(h.ValueAtPercentile(p)), true
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
	if s.Result.Latency.TotalCount() > 0 {
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
	if v, ok := carriedBy(s.Result.Wait, 99); ok {
		ms = append(ms, Metric{float64(v), "client-wait-p99-ns"})
	}
	if s.Result.Offered > 0 {
		ms = append(ms, Metric{100 * s.Result.Achieved(), "achieved-%"})
		if v, ok := carriedBy(s.Result.Lag, 99); ok {
			ms = append(ms, Metric{float64(v), "lag-p99-ns"})
		}
	}
	if s.Result.Failed > 0 {
		ms = append(ms, Metric{float64(s.Result.Failed), "failed"})
	}
	return ms
}
