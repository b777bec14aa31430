package wasmbench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// An asker puts load on a product's services for one window of at least that length: by so
// many users who ask again as soon as they are answered, or, where the rate is not 0, at
// that many requests a second by all of them together, whether they have been answered
// or not.
type asker func(users int, rate float64, least time.Duration) (*measure.Serving, error)

// errTooSlow is in the error of a service that does not keep the limit of p99 however
// little it is asked.
var errTooSlow = errors.New("the limit of p99 is not kept")

const (
	// enough requests carry a p99, which 441 do, also where a rate is a little less than
	// was foreseen.
	enough = 500
	// queued is how many requests are aimed at in a window that no p99 is taken from, and
	// leastQueued how many it must have: one more or less that is done when it ends is then
	// a tenth of its rate at most.
	queued, leastQueued = 12, 10
)

// long is how long each of so many windows has to be for all of them to have the requests
// at a rate: -cost.time at least, and for their sake together no longer than -budget, or
// -oplimit where that is less.
func long(requests, rate float64, windows int) time.Duration {
	most := *flagOpLimit
	if *flagBudget > 0 {
		most = min(most, *flagBudget)
	}
	together := min(requests/rate, most.Seconds())
	return max(*flagCostTime, time.Duration(together/float64(windows)*float64(time.Second)))
}

// timed returns an asker that asks again, twice at most, where nothing is known of the
// processor time that a window took: it would count as none.
func timed(ask asker) asker {
	const most = 3
	return func(users int, rate float64, least time.Duration) (*measure.Serving, error) {
		for range most {
			s, err := ask(users, rate, least)
			if err != nil || s.CPU > 0 || s.Result.Completed == 0 {
				return s, err
			}
		}
		return nil, fmt.Errorf("the processor time of %d windows of %v is not known, for none of it could be read in time: make -cost.time longer, or take a machine that does less", most, least)
	}
}

// over says why requests are not within the limit of p99; nil where they are. The longest
// latency stands for p99 where they are too few to carry one.
func over(s *measure.Serving, limit time.Duration) error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.Short() {
		return fmt.Errorf("%.1f %% of the rate was achieved", 100*s.Result.Achieved())
	}
	if v, ok := s.Percentile(99); ok {
		if v > limit {
			return fmt.Errorf("the latency at p99 was %v, where the limit is %v (-resources.p99)", v, limit)
		}
		return nil
	}
	if v := time.Duration(s.Result.Latency.Max()); v > limit {
		return fmt.Errorf("the longest of %d latencies, which are too few for a p99, was %v, where the limit is %v (-resources.p99)", s.Result.Requests, v, limit)
	}
	return nil
}

// saturate halves the number of users until their latency is within the limit, and
// returns it with that window.
func saturate(ask asker, users int, limit time.Duration) (int, *measure.Serving, error) {
	for {
		s, err := waiting(ask, users, limit)
		if err != nil {
			return 0, nil, err
		}
		why := over(s, limit)
		switch {
		case why == nil:
			return users, s, nil
		case users == 1:
			return 0, nil, fmt.Errorf("%w by a single user: %w", errTooSlow, why)
		}
		users /= 2
	}
}

// waiting has users who wait for their answers for -cost.time and, where that has too few
// requests for a p99, for as long as they take; unless half of the few were over the limit.
func waiting(ask asker, users int, limit time.Duration) (*measure.Serving, error) {
	s, err := ask(users, 0, *flagCostTime)
	if err != nil || s.Err() != nil || time.Duration(s.Result.Latency.ValueAtPercentile(50)) > limit {
		return s, err
	}
	if _, ok := s.Percentile(99); ok {
		return s, nil
	}
	return ask(users, 0, long(enough, s.Throughput(), 1))
}

const (
	// openShare is how much of what users get who wait for their answers is tried with
	// arrivals that do not wait: their queue would grow without end at the whole.
	openShare = 0.7
	// leastShare is where halving ends: what keeps no more than that is disturbed.
	leastShare = openShare / 16
	// bisections are made between a rate that is kept and twice that, which was refused:
	// the least refused is then a quarter of the first more than the greatest kept.
	bisections = 2
)

// sustain halves the rate of an open loop, from openShare of the saturated one, until it
// is held for so many windows, and seeks between that and the one before, which was not.
// It returns the windows of the greatest rate that was held, with the least one that was
// not or, where all were, the saturated one.
func sustain(ask asker, users, windows int, saturated float64, limit time.Duration) (kept []*measure.Serving, refused float64, err error) {
	refused = saturated
	var why error
	for rate := openShare * saturated; rate >= leastShare*saturated; rate /= 2 {
		kept, why, err = hold(ask, users, windows, rate, limit)
		switch {
		case err != nil || why == nil && refused == saturated:
			return kept, refused, err
		case why == nil:
			return bisect(ask, users, kept, rate, refused, limit)
		}
		refused = rate
	}
	return nil, 0, fmt.Errorf("%w at %.3g requests a second: %w", errTooSlow, refused, why)
}

// bisect seeks a greater rate than one that was held in these windows, below one that was
// not.
func bisect(ask asker, users int, kept []*measure.Serving, rate, above float64, limit time.Duration) (most []*measure.Serving, refused float64, err error) {
	for range bisections {
		between := (rate + above) / 2
		more, why, err := hold(ask, users, len(kept), between, limit)
		switch {
		case err != nil:
			return nil, 0, err
		case why == nil:
			kept, rate = more, between
		default:
			above = between
		}
	}
	return kept, above, nil
}

// hold asks at a rate for so many windows, which have enough requests for a p99 all
// together, and tells why they are not within the limit as one. A window that was disturbed
// is repeated; a second one is why the rate is not held.
func hold(ask asker, users, windows int, rate float64, limit time.Duration) (kept []*measure.Serving, why, err error) {
	length := long(enough, rate, windows)
	repeated := false
	for len(kept) < windows {
		s, err := ask(users, rate, length)
		if err != nil {
			return nil, nil, err
		}
		switch why := disturbed(s, limit); {
		case why == nil:
			kept = append(kept, s)
		case repeated:
			return nil, why, nil
		default:
			repeated = true
		}
	}
	if why := over(measure.CurveStep{Instances: 1, Windows: kept}.Serving(), limit); why != nil {
		return nil, why, nil
	}
	return kept, nil, nil
}

// disturbed says what of a window may be the host's doing: requests failed, or it is over
// the limit and the load generator was late by itself by a quarter of that.
func disturbed(s *measure.Serving, limit time.Duration) error {
	if err := s.Err(); err != nil {
		return err
	}
	late := time.Duration(0)
	for _, h := range []*hdrhistogram.Histogram{s.Result.Lag, s.Result.Wait} {
		if h != nil {
			late = max(late, time.Duration(h.ValueAtPercentile(99)))
		}
	}
	if why := over(s, limit); why != nil && late >= limit/4 {
		return fmt.Errorf("%w; the load generator was late itself, by %v at p99", why, late)
	}
	return nil
}

// A yield is what one instance of a product does and takes.
type yield struct {
	users       int             // that asked it
	requests    costmodel.Range // a second that it answers
	own, shared costmodel.Range // processor seconds of a request, of its own processes and of shared ones
	memory      costmodel.Range // bytes of PSS that another instance takes
	base        float64         // bytes of PSS that a host has in use before the first
}

// capacity is the yield as the model has it, where a host's own system takes some bytes.
func (y yield) capacity(system int64) costmodel.Capacity {
	return costmodel.Capacity{Requests: y.requests, CPUPerRequest: y.own.Plus(y.shared), Memory: y.memory, Base: costmodel.Exactly(y.base + float64(system))}
}

// of takes requests and processor time from windows. From least to greatest of them
// is no interval of a known confidence for what another process would do.
func (y *yield) of(windows []*measure.Serving) error {
	var rates, own, shared []float64
	for _, s := range windows {
		rates = append(rates, s.Throughput())
		own = append(own, s.CPU.Seconds()/float64(s.Result.Completed))
		shared = append(shared, s.SharedCPU.Seconds()/float64(s.Result.Completed))
	}
	var errs [3]error
	y.requests, errs[0] = costmodel.Spread(rates...)
	y.own, errs[1] = costmodel.Spread(own...)
	y.shared, errs[2] = costmodel.Spread(shared...)
	return errors.Join(errs[:]...)
}

// occupy returns how many users keep an instance of a product busy, with a window of
// theirs: as many as are answered within the limit of p99 where it has one.
func occupy(ask asker, p product) (users int, first *measure.Serving, err error) {
	if p.users == 0 {
		return saturate(ask, *flagConnections, *flagNeedP99)
	}
	if first, err = ask(p.users, 0, *flagCostTime); err == nil {
		err = first.Err()
	}
	return p.users, first, err
}

// residents reads what one instance of a product has in memory and what two have, each of
// them new and asked by so many users who wait for their answers, so that the requests
// that one has under way are the same whatever the processors do. An embedded engine's host
// process is older than both, and what it keeps of before is in both readings.
func residents(resize func(n int) error, ask asker, users int, length time.Duration) (one, two measure.Usage, err error) {
	for i, usage := range []*measure.Usage{&one, &two} {
		n := i + 1
		for _, size := range []int{0, n} {
			if err := resize(size); err != nil {
				return one, two, err
			}
		}
		s, err := ask(n*users, 0, length)
		if err == nil {
			err = s.Err()
		}
		if err != nil {
			return one, two, fmt.Errorf("memory of %d instances: %w", n, err)
		}
		*usage = s.Memory
	}
	return one, two, nil
}

// throughput measures what an instance does that so many users keep busy with a rate: at
// the greatest rate within the limit of p99 or, where the product has none, with them.
func throughput(ask asker, p product, users int, saturated float64) (y yield, windows []*measure.Serving, err error) {
	ask = timed(ask)
	refused := 0.0
	if p.users == 0 {
		windows, refused, err = sustain(ask, users, *flagCostWindows, saturated, *flagNeedP99)
	} else {
		windows, err = queue(ask, users, *flagCostWindows, saturated)
	}
	if err == nil {
		err = y.of(windows)
	}
	y.users, y.requests.High = users, max(y.requests.High, refused)
	return y, windows, err
}

// queue has users who mind no waiting for so many windows, each long enough for the number
// queued at the rate of the one before, at first that which is given. One with too few of
// them has a longer one in its place, as far as -budget allows. A request that fails is an
// error.
func queue(ask asker, users, windows int, rate float64) (all []*measure.Serving, err error) {
	for length := long(queued, rate, 1); len(all) < windows; {
		s, err := ask(users, 0, length)
		if err == nil {
			err = s.Err()
		}
		if err != nil {
			return nil, err
		}
		next := long(queued, s.Throughput(), 1)
		if s.Result.Completed >= leastQueued || next <= length {
			all = append(all, s)
		}
		length = next
	}
	return all, nil
}

// measured measures the yield of a product on a runtime.
func measured(b *testing.B, c cell[nothing], by way, p product) (yield, error) {
	b.Helper()
	w, err := p.guest(c.language)
	if err == nil && p.before != nil {
		err = p.before()
	}
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	made := &servers{candidate: c.candidate, workload: w, made: map[way]runtime.ServerImage{}}
	defer closeInstance(b, made)
	f := fleet(b, cell[*servers]{c.candidate, c.language, w, made}, by)
	defer closeInstance(b, f)
	resize := func(n int) error { return f.Resize(b.Context(), n) }
	if err := resize(1); err != nil {
		return yield{}, err
	}
	ask := asking(b, f, func(n int) demand { return p.ask(b, f.Services()[0], w, n) })
	users, first, err := occupy(ask, p)
	if err != nil {
		return yield{}, err
	}
	one, two, err := residents(resize, ask, users, first.Result.Elapsed)
	if err == nil {
		err = resize(1)
	}
	if err != nil {
		return yield{}, err
	}
	y, windows, err := throughput(ask, p, users, first.Throughput())
	if err != nil {
		return yield{}, err
	}
	tellSkew(b, windows...)
	var resolved bool
	y.memory, y.base, resolved = another(float64(one.Own.PSS), float64(two.Own.PSS))
	if !resolved {
		comment("%s: what another instance takes was not resolved: two together had no more in memory than one, which is taken for it", b.Name())
	}
	y.base += float64(one.Shared.PSS)
	return y, nil
}

// costless ends a benchmark whose product has no cost, and fails it for any other error.
func costless(b *testing.B, err error) {
	b.Helper()
	if !refused(err) {
		b.Fatal(err)
	}
	comment("%s: no cost: %s", b.Name(), oneLine(err.Error()))
	b.Skip(err)
}

// asking returns what puts load on a fleet's services: a window in which nobody was answered
// is followed by one of twice its length, up to -oplimit. The next begins anew, for
// services are slowest when they are new.
func asking(b *testing.B, f *measure.Fleet, ask func(window int) demand) asker {
	n := 0
	return func(users int, rate float64, least time.Duration) (*measure.Serving, error) {
		for length := least; ; length = min(2*length, *flagOpLimit) {
			d := ask(n)
			n++
			plan := d.plan()
			// Another request of the same user would wait for the first.
			plan.Connections, plan.Pipelining, plan.Rate, plan.Duration = users, 1, rate, length
			s, err := measure.Serve(b.Context(), f.Services(), plan, d.Script, measure.ServingOptions{Memory: true})
			if !errors.Is(err, measure.ErrNoneAnswered) || length >= *flagOpLimit {
				return s, err
			}
		}
	}
}

// another is what a further instance takes in memory, by one pair of readings, and
// what a host has in use before the first, such as an engine's host process that they share.
// Where two take no more than one that was not resolved, and a whole one stands for it;
// it does at the unfavourable end anyhow. Where the second took more than the first, both
// are the ends and half of the two is the value.
func another(one, two float64) (memory costmodel.Range, base float64, resolved bool) {
	switch more := two - one; {
	case more <= 0:
		return costmodel.Exactly(one), 0, false
	case more >= one:
		return costmodel.Range{Value: two / 2, Low: one, High: more}, 0, true
	default:
		return costmodel.Range{Value: more, Low: more, High: one}, one - more, true
	}
}
