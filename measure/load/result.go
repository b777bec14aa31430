package load

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Result is what was measured from the end of the warm-up on.
type Result struct {
	Elapsed time.Duration `json:"elapsed"` // of what counts
	// Requests were answered rightly. In a closed loop they are those whose
	// answer came within Elapsed; in an open loop those that were due within it,
	// whose answers were waited for.
	Requests int64 `json:"requests"`
	// Offered is how many were due within Elapsed in an open loop, 0 in a closed
	// one.
	Offered int64 `json:"offered"`
	// Completed is how many right answers came within Elapsed, to requests of
	// whatever time: what the service sustained.
	Completed int64 `json:"completed"`
	// Late is how many right answers came after Elapsed. In a closed loop nothing
	// else counts them: a service that takes longer than Elapsed for each has no
	// Requests.
	Late int64 `json:"late"`
	// Backlog is by how much the requests of an open loop that were due and had no
	// answer yet grew within Elapsed, 0 where they did not. Those that a service
	// has under way which answers each as fast as its fastest are no backlog, so
	// that there is none for want of a warm-up; and only those count that were
	// answered rightly in the end, as the others are in Failed.
	Backlog int64 `json:"backlog"`
	// Failed had a wrong response or none.
	Failed int64 `json:"failed"`
	// Failures are the first kinds of them, the most frequent first. Failed is
	// more than their sum where there were more kinds.
	Failures []Failure `json:"failures"`
	Received int64     `json:"received"` // bytes of the bodies of the responses to Requests
	Connects int64     `json:"connects"` // connections that were made, before what counts too
	// Latency is that of Requests in nanoseconds to three significant digits;
	// what took more than a minute is as one that took a minute.
	Latency *hdrhistogram.Histogram `json:"latency"`
	// Lag is how late the generator came to each request of Offered: from when it
	// was due until the generator saw to it, whether it was sent then or had to
	// wait for an answer. It is part of Latency and not the service's doing.
	Lag *hdrhistogram.Histogram `json:"lag"`
	// Wait is for how long each event of a connection lay ready within Elapsed
	// while the generator was busy with others: from when the kernel told of it
	// until it was read. It is part of Latency too, and at least: what arrived
	// unnoticed while the generator was busy is told of later.
	Wait *hdrhistogram.Histogram `json:"wait"`
	CPU  time.Duration           `json:"cpu"` // processor time of the generator within Elapsed
}

// A Failure is one way in which requests failed.
type Failure struct {
	Text  string `json:"text"`
	Count int64  `json:"count"`
}

// Achieved is how much of the offered rate the service answered rightly as time
// went on, 1 in a closed loop: of Offered, those that did not fail but for as many
// as the Backlog grew by, which it could not have gone on letting grow. It is
// between 0 and 1.
func (r *Result) Achieved() float64 {
	if r.Offered == 0 {
		return 1
	}
	return float64(max(0, r.Requests-r.Backlog)) / float64(r.Offered)
}

// Merge returns what several runs measured as if they were one that lasted for as
// long as all together. A histogram that a result lacks is empty.
func Merge(results ...*Result) *Result {
	sum := newTally()
	for _, r := range results {
		sum.add(r)
		sum.Elapsed += r.Elapsed
		sum.Backlog += r.Backlog
		for _, f := range r.Failures {
			sum.kinds[f.Text] += f.Count
		}
	}
	return sum.result()
}

// A wire is a result as it goes from one process to another.
type wire struct {
	*bare
	// Histograms are in HdrHistogram's V2 compressed encoding.
	Latency []byte `json:"latency"`
	Lag     []byte `json:"lag"`
	Wait    []byte `json:"wait"`
}

// bare is a Result without methods.
type bare Result

func (w *wire) histograms() map[*[]byte]**hdrhistogram.Histogram {
	return map[*[]byte]**hdrhistogram.Histogram{&w.Latency: &w.bare.Latency, &w.Lag: &w.bare.Lag, &w.Wait: &w.bare.Wait}
}

// MarshalJSON encodes durations in nanoseconds and histograms in HdrHistogram's
// own compressed encoding, null where there is none.
func (r *Result) MarshalJSON() ([]byte, error) {
	w := wire{bare: (*bare)(r)}
	for encoded, h := range w.histograms() {
		if *h == nil {
			continue
		}
		var err error
		if *encoded, err = (*h).Encode(hdrhistogram.V2CompressedEncodingCookieBase); err != nil {
			return nil, fmt.Errorf("encoding a histogram: %w", err)
		}
	}
	return json.Marshal(w)
}

// UnmarshalJSON decodes what MarshalJSON gives. A histogram that is lacking is empty.
func (r *Result) UnmarshalJSON(b []byte) error {
	w := wire{bare: new(bare)}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	for encoded, h := range w.histograms() {
		if len(*encoded) == 0 {
			*h = newHistogram()
			continue
		}
		var err error
		if *h, err = hdrhistogram.Decode(*encoded); err != nil {
			return fmt.Errorf("decoding a histogram: %w", err)
		}
	}
	*r = Result(*w.bare)
	return nil
}

// longest is the latency up to which histograms tell one from the other.
const longest = int64(time.Minute)

// newHistogram is of nanoseconds.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

// record notes one value, of which none is out of the histogram's range.
func record(h *hdrhistogram.Histogram, ns int64) {
	h.RecordValue(min(max(ns, 0), longest)) // it refuses only what is beyond its range
}

const (
	kinds    = 16  // of failures that are told apart
	textSize = 300 // bytes of a failure's text
)

// A tally is what one thread has counted.
type tally struct {
	Result
	kinds   map[string]int64
	fastest int64 // latency of a right answer of an open loop, also in the warm-up
}

func newTally() tally {
	return tally{Result{Latency: newHistogram(), Lag: newHistogram(), Wait: newHistogram()}, map[string]int64{}, math.MaxInt64}
}

// fail counts a failure.
func (t *tally) fail(text string) {
	t.Failed++
	if _, ok := t.kinds[text]; ok || len(t.kinds) < kinds {
		t.kinds[text]++
	}
}

// add adds up what is of any span of time and any thread, without the kinds of
// failures.
func (t *tally) add(r *Result) {
	t.Requests += r.Requests
	t.Offered += r.Offered
	t.Completed += r.Completed
	t.Late += r.Late
	t.Failed += r.Failed
	t.Received += r.Received
	t.Connects += r.Connects
	t.CPU += r.CPU
	for to, from := range map[*hdrhistogram.Histogram]*hdrhistogram.Histogram{t.Latency: r.Latency, t.Lag: r.Lag, t.Wait: r.Wait} {
		if from != nil {
			to.Merge(from) // both have one range: none is left out
		}
	}
}

// result completes what has been added up.
func (t *tally) result() *Result {
	for text, n := range t.kinds {
		t.Failures = append(t.Failures, Failure{text, n})
	}
	slices.SortFunc(t.Failures, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return &t.Result
}

// merge returns what the threads of one run have counted.
func merge(plan *settled, tallies []*tally) *Result {
	sum := newTally()
	sum.Elapsed = plan.Duration
	for _, t := range tallies {
		sum.add(&t.Result)
		sum.fastest = min(sum.fastest, t.fastest)
		for text, n := range t.kinds {
			sum.kinds[text] += n
		}
	}
	sum.Backlog = sum.backlog(plan.Rate)
	return sum.result()
}

// backlog is how many more requests were due and not answered at the end of what
// counts than at its beginning, or than are always under way.
func (t *tally) backlog(rate float64) int64 {
	if rate == 0 || t.Late == 0 {
		return 0
	}
	// All that came from the beginning on, without those due from then on.
	before := t.Completed + t.Late - t.Requests
	always := int64(rate * time.Duration(t.fastest).Seconds())
	return max(0, t.Late-max(before, always))
}
