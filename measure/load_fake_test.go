package measure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A stand is a service that does nothing: what is measured of it is planted.
type stand struct {
	address string
	network string
	scope   runtime.Scope

	once   sync.Once
	ending chan struct{}
}

func newStand(n int, own ...int) *stand {
	return &stand{address: fmt.Sprint("127.0.0.1:", n), scope: runtime.Scope{Own: own}, ending: make(chan struct{})}
}

func (s *stand) end()                   { s.once.Do(func() { close(s.ending) }) }
func (s *stand) Address() string        { return s.address }
func (s *stand) Network() string        { return s.network }
func (s *stand) Ended() <-chan struct{} { return s.ending }
func (s *stand) Scope() runtime.Scope   { return s.scope }
func (s *stand) Close() error           { return nil }

func (s *stand) Explain(err error) error {
	select {
	case <-s.ending:
		return fmt.Errorf("%w; it was killed", err)
	default:
		return err
	}
}

// A plantedLoad is a Loader whose result is planted, and which keeps what it was
// asked for.
type plantedLoad struct {
	result func(load.Plan) *load.Result
	within func() // called between the events
	// For how long it is that what the events tell of was, when they are told.
	beginLate, endLate time.Duration
	err                error
	mute               bool // tells no event

	plans   []load.Plan
	scripts []measure.Script
}

func (l *plantedLoad) Run(ctx context.Context, p load.Plan, scenario string, parameters load.Parameters, events load.Events) (*load.Result, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.plans = append(l.plans, p)
	l.scripts = append(l.scripts, measure.Script{Scenario: scenario, Parameters: parameters})
	if l.mute {
		return l.result(p), nil
	}
	events.Begin(time.Now().Add(-l.beginLate))
	if l.within != nil {
		l.within()
	}
	events.End(time.Now().Add(-l.endLate))
	if l.err != nil {
		return nil, l.err
	}
	return l.result(p), nil
}

// served returns a result of n requests in a second, each of which took as long.
func served(n int64, took time.Duration) *load.Result {
	r := &load.Result{Elapsed: time.Second, Requests: n, Completed: n, CPU: time.Duration(n) * 3 * time.Microsecond,
		Latency: histogram(), Lag: histogram(), Wait: histogram()}
	r.Latency.RecordValues(int64(took), n)
	return r
}

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// offered is as served, of an open loop that has offered so many.
func offered(offer, n int64, took time.Duration) *load.Result {
	r := served(n, took)
	r.Offered = offer
	r.Lag.RecordValues(int64(20*time.Microsecond), n)
	return r
}

// lagging makes of a result one whose generator was late by itself: by so much to
// each of so many requests, and it left as many answers lying for as long.
func lagging(r *load.Result, n int64, lag, wait time.Duration) *load.Result {
	r.Lag.RecordValues(int64(lag), n)
	r.Wait.RecordValues(int64(wait), n)
	return r
}

// failing makes of a result one in which some more have failed.
func failing(r *load.Result, n int64) *load.Result {
	r.Failed = n
	r.Failures = []load.Failure{{Text: "connection reset by peer", Count: n - 1}, {Text: "status 500", Count: 1}}
	return r
}

// late makes of a result one in which some more were answered after the end.
func late(r *load.Result, n int64) *load.Result {
	r.Late = n
	return r
}

// waiting makes of a result one in which answers waited for the generator.
func waiting(r *load.Result) *load.Result {
	r.Wait.RecordValues(int64(7*time.Microsecond), r.Requests)
	return r
}

var errPlanted = errors.New("planted")

// valueOf returns the value with a unit, and whether there is one.
func valueOf(ms []measure.Metric, unit string) (float64, bool) {
	if i := slices.IndexFunc(ms, func(m measure.Metric) bool { return m.Unit == unit }); i >= 0 {
		return ms[i].Value, true
	}
	return 0, false
}
