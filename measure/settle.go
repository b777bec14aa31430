package measure

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// SettleOptions say when a value has settled. The zero value is as the comments
// say.
type SettleOptions struct {
	Range   float64       // the most by which readings of a window differ, as a share of the largest; 0 is 0.01
	Window  time.Duration // how long they must not differ by more; 0 is 2 s
	Timeout time.Duration // after which it has not settled; 0 is 30 s
}

// Settled is how a value settled.
type Settled struct {
	Value int64         // the last reading, the one that what is read next goes with
	Took  time.Duration // from the call of Settle to the last reading
	Range float64       // (largest-smallest)/largest of the readings of the last window
	OK    bool          // the value has settled; else time ran out
}

const (
	settlePause    = 50 * time.Millisecond // between two readings, at least
	settleRest     = 3                     // times what a reading took, so that reading takes a quarter of the time
	settleReadings = 3                     // that tell whether a value has settled, at least
)

// Settle reads a value again and again until it has stayed within a range for a
// window of time. Between readings it pauses for 50 ms, or for three times as long
// as the last took. The window is the time from the end of its first reading to the
// begin of its last, and has at least three.
//
// A value that drifts by less than Range in each Window counts as settled. One
// that has not settled after Timeout is no error: OK is false then, and the last
// reading is one made at that time. An error of read is returned, wrapped, and so is
// the cause with which ctx ended.
func Settle(ctx context.Context, read func(context.Context) (int64, error), opts SettleOptions) (Settled, error) {
	opts.Range = cmp.Or(opts.Range, 0.01)
	opts.Window = cmp.Or(opts.Window, 2*time.Second)
	opts.Timeout = cmp.Or(opts.Timeout, 30*time.Second)
	var span []settleReading
	pause := time.NewTimer(0)
	defer pause.Stop()
	for start, n := time.Now(), 0; ; n++ {
		select {
		case <-ctx.Done():
			return Settled{}, context.Cause(ctx)
		case <-pause.C:
		}
		if ctx.Err() != nil { // both may have been ready
			return Settled{}, context.Cause(ctx)
		}
		r := settleReading{begin: time.Now()}
		var err error
		if r.value, err = read(ctx); err != nil {
			return Settled{}, fmt.Errorf("reading what is to settle, after %d readings: %w", n, err)
		}
		r.end = time.Now()
		span = append(span, r)
		for len(span) > settleReadings && r.begin.Sub(span[1].end) >= opts.Window {
			span = span[1:]
		}
		s := Settled{Value: r.value, Took: r.end.Sub(start), Range: rangeOf(span)}
		s.OK = len(span) >= settleReadings && r.begin.Sub(span[0].end) >= opts.Window && s.Range <= opts.Range
		left := opts.Timeout - s.Took
		if s.OK || left <= 0 {
			return s, nil
		}
		pause.Reset(min(max(settlePause, settleRest*r.end.Sub(r.begin)), left))
	}
}

// A settleReading is a value that was read at some time from begin to end.
type settleReading struct {
	value      int64
	begin, end time.Time
}

// rangeOf returns by which share of the largest the readings differ.
func rangeOf(rs []settleReading) float64 {
	byValue := func(a, b settleReading) int { return cmp.Compare(a.value, b.value) }
	least, most := slices.MinFunc(rs, byValue).value, slices.MaxFunc(rs, byValue).value
	if least == most {
		return 0
	}
	return float64(most-least) / float64(max(most, -least))
}
