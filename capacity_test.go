package wasmbench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// An asker puts load on a product's services for one window: by so many users who ask
// again as soon as they are answered, or, where the rate is not 0, at that many
// requests a second by all of them together, whether they have been answered or not.
type asker func(users int, rate float64) (*measure.Serving, error)

// errTooSlow is in the error of a service that does not keep the limit of p99 however
// little it is asked.
var errTooSlow = errors.New("the limit of p99 is not kept")

// over says why a window is not within the limit of p99; nil where it is.
func over(s *measure.Serving, limit time.Duration) error {
	if err := s.Err(); err != nil {
		return err
	}
	if v := latency(s); v > limit {
		return fmt.Errorf("the latency at p99 was %v, where the limit is %v (-resources.p99)", v, limit)
	}
	return nil
}

// latency is that at p99, or the longest where so few requests carry no p99.
func latency(s *measure.Serving) time.Duration {
	if v, ok := s.Percentile(99); ok {
		return v
	}
	return time.Duration(s.Result.Latency.Max())
}

// saturate halves the number of users until their latency is within the limit, and
// returns it with that window.
func saturate(ask asker, users int, limit time.Duration) (int, *measure.Serving, error) {
	for {
		s, err := ask(users, 0)
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

const (
	// openShare is how much of what users get who wait for their answers is tried with
	// arrivals that do not wait: their queue would grow without end at the whole.
	openShare = 0.7
	// leastShare is where halving ends: what keeps no more than that is disturbed.
	leastShare = openShare / 16
	// leastKept is the share of the arrivals that windows together must have answered in
	// time. In a window by itself a short disturbance at its end would be a failure.
	leastKept = 0.99
)

// sustain halves the rate of an open loop, from openShare of the saturated one, until it
// is held for so many windows, and returns these with the least rate of which that is not
// known: the saturated one or the last that was given up.
func sustain(ask asker, users, windows int, saturated float64, limit time.Duration) (kept []*measure.Serving, refused float64, err error) {
	refused = saturated
	var why error
	for rate := openShare * saturated; rate >= leastShare*saturated; rate /= 2 {
		if kept, why, err = hold(ask, users, windows, rate, limit); err != nil || why == nil {
			return kept, refused, err
		}
		refused = rate
	}
	return nil, 0, fmt.Errorf("%w at %.3g requests a second: %w", errTooSlow, refused, why)
}

// hold asks at a rate until so many windows are within the limit or two are not, and
// tells why not. One may be the host's doing.
func hold(ask asker, users, windows int, rate float64, limit time.Duration) (kept []*measure.Serving, why, err error) {
	achieved := 0.0
	for len(kept) < windows {
		s, err := ask(users, rate)
		if err != nil {
			return nil, nil, err
		}
		if now := over(s, limit); now != nil && why != nil {
			return nil, now, nil
		} else if now != nil {
			why = now
			continue
		}
		achieved += s.Result.Achieved() / float64(windows)
		kept = append(kept, s)
	}
	if achieved < leastKept {
		return nil, fmt.Errorf("%.1f %% of the rate was achieved", 100*achieved), nil
	}
	return kept, nil, nil
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
	return costmodel.Capacity{Requests: y.requests, CPUPerRequest: sum(y.own, y.shared), Memory: y.memory, Base: costmodel.Exactly(y.base + float64(system))}
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
	if first, err = ask(p.users, 0); err == nil {
		err = first.Err()
	}
	return p.users, first, err
}

// throughput measures what an instance does that so many users keep busy with a rate: at
// the greatest rate within the limit of p99 or, where the product has none, with them.
func throughput(ask asker, p product, users int, saturated float64) (y yield, windows []*measure.Serving, err error) {
	refused := 0.0
	if p.users == 0 {
		windows, refused, err = sustain(ask, users, *flagCostWindows, saturated, *flagNeedP99)
	} else {
		windows, err = queue(ask, users, *flagCostWindows)
	}
	if err == nil {
		err = y.of(windows)
	}
	y.users, y.requests.High = users, max(y.requests.High, refused)
	return y, windows, err
}

// queue has users who mind no waiting for so many windows; a request that fails is an error.
func queue(ask asker, users, windows int) (all []*measure.Serving, err error) {
	for range windows {
		s, err := ask(users, 0)
		if err == nil {
			err = s.Err()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// measured measures the yield of a product on a runtime.
func measured(b *testing.B, c cell[nothing], by way, p product) yield {
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
	if err := f.Resize(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	ask := asking(b, f, func(n int) demand { return p.ask(b, f.Services()[0], w, n) }, max(*flagCostTime, p.time))
	users, one, err := occupy(ask, p)
	if err != nil {
		costless(b, err)
	}
	// Each of two has as many users as the one had, who wait for their answers: the
	// requests that an instance has under way are the same, whatever the processors do.
	// None has been asked for much longer than another yet.
	if err := f.Resize(b.Context(), 2); err != nil {
		b.Fatal(err)
	}
	two, err := ask(2*users, 0)
	if err == nil {
		err = two.Err()
	}
	if err == nil {
		err = f.Resize(b.Context(), 1)
	}
	if err != nil {
		b.Fatal(err)
	}
	y, windows, err := throughput(ask, p, users, one.Throughput())
	if err != nil {
		costless(b, err)
	}
	tellSkew(b, windows...)
	var resolved bool
	y.memory, y.base, resolved = another(float64(one.Memory.Own.PSS), float64(two.Memory.Own.PSS))
	if !resolved {
		comment("%s: what another instance takes was not resolved: two together had no more in memory than one, which is taken for it", b.Name())
	}
	y.base += float64(one.Memory.Shared.PSS)
	return y
}

// costless ends a benchmark whose product is too slow to have a cost, and fails it for any
// other error.
func costless(b *testing.B, err error) {
	b.Helper()
	if !errors.Is(err, errTooSlow) {
		b.Fatal(err)
	}
	comment("%s: no cost: %s", b.Name(), oneLine(err.Error()))
	b.Skip(err)
}

// asking returns what puts load on a fleet's services, in windows of at least that length:
// one in which nobody was answered is followed by one of twice that, up to -oplimit. The
// next begins anew, for services are slowest when they are new.
func asking(b *testing.B, f *measure.Fleet, ask func(window int) demand, least time.Duration) asker {
	n := 0
	return func(users int, rate float64) (*measure.Serving, error) {
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
// it does at the unfavourable end anyhow, or what the second took if that was more.
func another(one, two float64) (memory costmodel.Range, base float64, resolved bool) {
	switch more := two - one; {
	case more <= 0:
		return costmodel.Exactly(one), 0, false
	case more >= one:
		return costmodel.Range{Value: one, Low: one, High: more}, 0, true
	default:
		return costmodel.Range{Value: more, Low: more, High: one}, one - more, true
	}
}
