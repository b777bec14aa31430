package measure_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// What the services spend between the events is charged to the requests, each process
// once, and by whose it is.
func TestServeChargesCPU(t *testing.T) {
	own, shim, daemon := newChild(t), newChild(t), newChild(t)
	one, other := newStand(1, own.pid, shim.pid), newStand(2, own.pid)
	one.scope.Shim = shim.pid
	one.scope.Shared, other.scope.Shared = []int{daemon.pid}, []int{daemon.pid}
	for _, c := range []*child{own, shim, daemon} {
		c.tell(t, "compute", 30) // is before what counts
	}
	l := &plantedLoad{
		result: func(load.Plan) *load.Result { return served(1000, time.Millisecond) },
		within: func() {
			own.tell(t, "compute", 200)
			shim.tell(t, "compute", 100)
			daemon.tell(t, "compute", 50)
		},
	}
	s, err := measure.Serve(t.Context(), []runtime.Service{one, other}, load.Plan{Connections: 7}, measure.Script{Scenario: "it", Parameters: []byte("{}")},
		measure.ServingOptions{Loader: l, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want time.Duration
	}{{"own", s.CPU, 300 * time.Millisecond}, {"shims'", s.ShimCPU, 100 * time.Millisecond}, {"shared", s.SharedCPU, 50 * time.Millisecond}} {
		if spent := spentIn(s, c.got); spent < c.want-time.Microsecond || spent > c.want+25*time.Millisecond {
			t.Errorf("the %s processor time is %v of %v, want %v", c.name, spent, s.Wall, c.want)
		}
	}
	if s.Wall < 345*time.Millisecond || s.Services != 2 { // the clocks of processors and of the wall differ by a little
		t.Errorf("%d services for %v", s.Services, s.Wall)
	}
	if s.Memory.Own.PSS <= 0 || s.Memory.Shared.PSS <= 0 {
		t.Errorf("memory %+v", s.Memory)
	}
	p := l.plans[0]
	if !slices.Equal(p.Addresses, []string{"127.0.0.1:1", "127.0.0.1:2"}) || p.Network != "" || p.Connections != 7 || l.scripts[0].Scenario != "it" || string(l.scripts[0].Parameters) != "{}" {
		t.Errorf("the load was %+v of %+v", p, l.scripts[0])
	}
	ms := s.Metrics()
	want := []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "max-ns", "cpu-ns/req", "shim-cpu-ns/req", "daemon-cpu-ns/req", "client-cpu-ns/req"}
	if units := unitsOf(ms); !slices.Equal(units, want) {
		t.Errorf("the units are %v, want %v", units, want)
	}
	if v, _ := valueOf(ms, "cpu-ns/req"); v != float64(s.CPU)/1000 {
		t.Errorf("%v ns of 1000 requests are %v each", s.CPU, v)
	}
	if v, _ := valueOf(ms, "client-cpu-ns/req"); v != 3000 {
		t.Errorf("the client spent %v ns", v)
	}
}

// spentIn is the processor time that was read, which Serving has made up for what was
// spent before.
func spentIn(s *measure.Serving, cpu time.Duration) time.Duration {
	all := s.Result.Elapsed
	return time.Duration(cpu.Seconds() * float64(all-s.BeginLate) / all.Seconds())
}

// What was spent before the first reading is made up for; that the last one is late
// makes nothing less, since nobody asks any more.
func TestServeReadsLate(t *testing.T) {
	for name, tt := range map[string]struct {
		begin, end time.Duration // by which the readings of a second are late
		least      time.Duration // where 100 ms are spent between; 0 is none
		skewed     bool
	}{
		"in time":           {0, 0, 100 * ms, false},
		"the first":         {500 * ms, 0, 200 * ms, true},
		"the last":          {0, 500 * ms, 100 * ms, true},
		"both":              {500 * ms, 500 * ms, 200 * ms, true},
		"the first, by all": {time.Second, 0, 0, true},
		"the first, longer": {2 * time.Second, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChild(t)
			l := &plantedLoad{
				result:    func(load.Plan) *load.Result { return served(1000, time.Millisecond) },
				within:    func() { c.tell(t, "compute", 100) },
				beginLate: tt.begin, endLate: tt.end,
			}
			s, err := measure.Serve(t.Context(), []runtime.Service{newStand(1, c.pid)}, load.Plan{}, measure.Script{}, measure.ServingOptions{Loader: l})
			if err != nil {
				t.Fatal(err)
			}
			if s.CPU < tt.least || spentIn(s, s.CPU) > 125*ms || tt.least == 0 && s.CPU > 0 {
				t.Errorf("%v were spent, of %v that were read, want %v", s.CPU, spentIn(s, s.CPU), tt.least)
			}
			if s.BeginLate < tt.begin || s.EndLate < tt.end || tt.skewed && !s.Skewed() {
				t.Errorf("the readings are late by %v and %v, want %v and %v; skewed: %v", s.BeginLate, s.EndLate, tt.begin, tt.end, s.Skewed())
			}
		})
	}
}

// Processes that the services have started under load count with all that they spent.
func TestServeCountsNewProcesses(t *testing.T) {
	old := newChild(t)
	svc := newStand(1, old.pid)
	var grown *child
	l := &plantedLoad{
		result: func(load.Plan) *load.Result { return served(1000, time.Millisecond) },
		within: func() {
			grown = newChild(t)
			grown.tell(t, "compute", 100)
			svc.scope = runtime.Scope{Own: []int{old.pid, grown.pid}, Shim: grown.pid}
		},
	}
	s, err := measure.Serve(t.Context(), []runtime.Service{svc}, load.Plan{}, measure.Script{}, measure.ServingOptions{Loader: l, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU < 100*time.Millisecond || s.ShimCPU < 100*time.Millisecond {
		t.Errorf("own processes spent %v, shims %v", s.CPU, s.ShimCPU)
	}
	if alone := old.usage(t, measure.Memory).Own.PSS; s.Memory.Own.PSS <= alone {
		t.Errorf("both have %d B in memory, one alone %d", s.Memory.Own.PSS, alone)
	}
}

// What is not known of processes that come and go under load is an error.
func TestServeLosesProcesses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, svc *stand, c *child)
		says   string
		ended  bool
	}{
		"ended": {func(t *testing.T, _ *stand, c *child) {
			c.cmd.Process.Kill()
			c.cmd.Wait()
		}, "it has ended", true},
		"another daemon": {func(_ *testing.T, svc *stand, _ *child) { svc.scope.Shared = []int{os.Getpid()} }, fmt.Sprintf("the processes [%d] serve the services since", os.Getpid()), false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChild(t)
			svc := newStand(1, c.pid)
			l := &plantedLoad{result: func(load.Plan) *load.Result { return served(1, time.Millisecond) }, within: func() { tt.change(t, svc, c) }}
			s, err := measure.Serve(t.Context(), []runtime.Service{svc}, load.Plan{}, measure.Script{}, measure.ServingOptions{Loader: l})
			if s != nil || err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, unix.ESRCH) != tt.ended || errors.Is(err, measure.ErrServiceEnded) {
				t.Errorf("%+v, error %v", s, err)
			}
		})
	}
}

func TestServingSkewed(t *testing.T) {
	for late, want := range map[time.Duration]bool{0: false, 90 * ms: false, 110 * ms: true} {
		for _, s := range []*measure.Serving{{BeginLate: late}, {EndLate: late}, {BeginLate: late, EndLate: late}} {
			s.Result = served(1, time.Millisecond)
			if s.Skewed() != want {
				t.Errorf("readings of a second that are late by %v and %v are skewed: %v", s.BeginLate, s.EndLate, s.Skewed())
			}
		}
	}
	// One window that is takes two others with it that are not.
	all := measure.CurveStep{Windows: []*measure.Serving{
		{Result: served(1, time.Millisecond)}, {Result: served(1, time.Millisecond), EndLate: 110 * ms}, {Result: served(1, time.Millisecond)},
	}}
	if s := all.Serving(); !s.Skewed() || s.EndLate != 110*ms {
		t.Errorf("late by %v of %v: skewed %v", s.EndLate, s.Result.Elapsed, s.Skewed())
	}
}

// A percentile is of all requests, those that failed being the slowest.
func TestServingPercentile(t *testing.T) {
	of := func(fast, slow, failed int64) *measure.Serving {
		r := served(fast, time.Millisecond)
		r.Latency.RecordValues(int64(time.Second), slow)
		r.Failed = failed
		return &measure.Serving{Result: r}
	}
	for _, tt := range []struct {
		fast, slow, failed int64
		p                  float64
		want               time.Duration // 0 for none
	}{
		{9900, 100, 0, 99, time.Millisecond},
		{9899, 101, 0, 99, time.Second},
		{9810, 91, 99, 99, time.Second}, // by the answered alone a millisecond
		{9899, 2, 99, 99, time.Second},
		{9900, 1, 99, 99, time.Millisecond},
		{9900, 0, 100, 99, time.Millisecond},
		{9899, 0, 101, 99, 0},
		{9899, 2, 99, 99.9, 0},
		{4000, 1000, 5000, 50, time.Second},
		{4000, 999, 5001, 50, 0},
		{0, 0, 1000, 50, 0},
		{5, 0, 1, 50, time.Millisecond},
		{4, 0, 1, 50, 0}, // too few
	} {
		v, ok := of(tt.fast, tt.slow, tt.failed).Percentile(tt.p)
		if ok != (tt.want > 0) || v.Round(tt.want/100) != tt.want {
			t.Errorf("of %d fast, %d slow and %d that failed p%v is %v, %v; want %v", tt.fast, tt.slow, tt.failed, tt.p, v, ok, tt.want)
		}
	}
}

// A Loader need not have histograms.
func TestServingWithoutHistograms(t *testing.T) {
	l := &plantedLoad{result: func(p load.Plan) *load.Result {
		return &load.Result{Elapsed: time.Second, Requests: 1000, Completed: 1000, Offered: int64(p.Rate)}
	}}
	s, err := measure.Serve(t.Context(), []runtime.Service{newStand(1)}, load.Plan{Rate: 1000}, measure.Script{}, measure.ServingOptions{Loader: l})
	if err != nil {
		t.Fatal(err)
	}
	if units := unitsOf(s.Metrics()); !slices.Equal(units, []string{"req/s", "achieved-%"}) {
		t.Errorf("%v", s.Metrics())
	}
	_, err = measure.Needed(t.Context(), fleetHere(t), load.Plan{Rate: 1000}, again(measure.Script{}), measure.NeedOptions{P99: time.Second, Most: 1, Serving: measure.ServingOptions{Loader: l}})
	if err == nil || !saying("do not tell the latency")(err) {
		t.Errorf("error %v", err)
	}
	c, err := measure.ScalingCurve(t.Context(), fleetHere(t), load.Plan{}, again(measure.Script{}), measure.CurveOptions{Instances: []int{1, 2}, Serving: measure.ServingOptions{Loader: l}})
	if err != nil || len(c.Efficiency()) > 0 {
		t.Errorf("%+v, error %v", c, err)
	}
}

func TestServingMetrics(t *testing.T) {
	tests := []struct {
		name         string
		result       *load.Result
		units        []string
		short, fails bool
		throughput   float64
	}{
		{"nothing", served(0, 0), nil, false, false, 0},
		{"few", served(5, time.Millisecond), []string{"req/s", "max-ns", "client-cpu-ns/req"}, false, false, 5},
		{"a hundred", served(100, time.Millisecond), []string{"req/s", "p50-ns", "p90-ns", "max-ns", "client-cpu-ns/req"}, false, false, 100},
		{"many", served(5000, time.Millisecond), []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "p99.9-ns", "max-ns", "client-cpu-ns/req"}, false, false, 5000},
		{"failures", failing(served(100, time.Millisecond), 3), []string{"req/s", "p50-ns", "p90-ns", "max-ns", "client-cpu-ns/req", "failed"}, false, true, 100},
		{"1 in 101 failed", failing(served(5000, time.Millisecond), 50), []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "max-ns", "client-cpu-ns/req", "failed"}, false, true, 5000},
		{"1 in 99 failed", failing(served(4900, time.Millisecond), 50), []string{"req/s", "p50-ns", "p90-ns", "max-ns", "client-cpu-ns/req", "failed"}, false, true, 4900},
		{"half failed", failing(served(4900, time.Millisecond), 4901), []string{"req/s", "max-ns", "client-cpu-ns/req", "failed"}, false, true, 4900},
		{"waiting", waiting(served(1000, time.Millisecond)), []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "max-ns", "client-cpu-ns/req", "client-wait-p99-ns"}, false, false, 1000},
		{"open", offered(1000, 990, time.Millisecond), []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "max-ns", "client-cpu-ns/req", "achieved-%", "lag-p99-ns"}, false, false, 990},
		{"open and short", offered(1000, 989, time.Millisecond), []string{"req/s", "p50-ns", "p90-ns", "p99-ns", "max-ns", "client-cpu-ns/req", "achieved-%", "lag-p99-ns"}, true, false, 989},
		{"open, few", offered(10, 10, time.Millisecond), []string{"req/s", "p50-ns", "max-ns", "client-cpu-ns/req", "achieved-%"}, false, false, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &measure.Serving{Result: tt.result}
			ms := s.Metrics()
			if units := unitsOf(ms); !slices.Equal(units, tt.units) {
				t.Errorf("the units are %v, want %v", units, tt.units)
			}
			if s.Short() != tt.short || s.Throughput() != tt.throughput {
				t.Errorf("short: %v, throughput %v", s.Short(), s.Throughput())
			}
			if v, ok := valueOf(ms, "p50-ns"); ok && math.Abs(v-1e6) > 1e3 {
				t.Errorf("the median is %v, planted was a millisecond", v)
			}
			var failed *measure.FailedError
			if err := s.Err(); errors.As(err, &failed) != tt.fails {
				t.Errorf("error %v", err)
			}
			if !tt.fails {
				return
			}
			n, all := tt.result.Failed, tt.result.Failed+tt.result.Requests
			if says := fmt.Sprintf("%d of %d requests failed: %d times connection reset by peer; 1 times status 500", n, all, n-1); failed.Requests != all || failed.Failed != n || failed.Error() != says {
				t.Errorf("%+v: %v, want %s", failed, failed, says)
			}
		})
	}
	if v, _ := valueOf((&measure.Serving{Result: waiting(served(1000, time.Millisecond))}).Metrics(), "client-wait-p99-ns"); math.Abs(v-7e3) > 10 {
		t.Errorf("answers waited %v ns, planted were 7 µs", v)
	}
}

func TestServeFails(t *testing.T) {
	elsewhere := newStand(3)
	elsewhere.network = "/proc/1/ns/net"
	dead := newStand(4)
	dead.end()
	tests := []struct {
		name        string
		services    []runtime.Service
		connections int // 0 is one for each
		loader      *plantedLoad
		is          []error
		failed      int64 // by a *FailedError; 0 for another error
		says        string
	}{
		{name: "no service", says: "there are none"},
		{name: "two networks", services: []runtime.Service{newStand(1), elsewhere}, says: "another from"},
		{name: "fewer connections than services", services: []runtime.Service{newStand(1), newStand(2), newStand(5)}, connections: 2, says: "2 connections leave some of 3 services without"},
		{name: "no answer in time", services: []runtime.Service{newStand(1)}, loader: &plantedLoad{result: func(load.Plan) *load.Result { return late(served(0, 0), 3) }}, is: []error{measure.ErrNoneAnswered}, says: "no request was answered within the window of 1s; 3 after it: make it longer"},
		{name: "no answer at all", services: []runtime.Service{newStand(1)}, loader: &plantedLoad{result: func(load.Plan) *load.Result { return failing(served(0, 0), 100) }}, is: []error{measure.ErrNoneAnswered}, failed: 100, says: "100 of 100 requests failed"},
		{name: "no load", services: []runtime.Service{newStand(1)}, loader: &plantedLoad{err: errPlanted}, is: []error{errPlanted}, says: "load on 1 services"},
		{name: "no load, for the service has ended", services: []runtime.Service{newStand(1), dead}, loader: &plantedLoad{err: errPlanted}, is: []error{errPlanted, measure.ErrServiceEnded}, says: "it was killed"},
		{name: "no events", services: []runtime.Service{newStand(1)}, loader: &plantedLoad{mute: true}, says: "told nobody"},
		{name: "no result", services: []runtime.Service{newStand(1)}, loader: &plantedLoad{result: func(load.Plan) *load.Result { return nil }}, says: "what came of it"},
		{name: "process not there", services: []runtime.Service{newStand(1, -1)}, says: "process -1", is: []error{unix.ESRCH}},
		{name: "one of two has ended", services: []runtime.Service{newStand(1), dead}, loader: &plantedLoad{}, is: []error{measure.ErrServiceEnded}, failed: 40, says: "127.0.0.1:4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.loader
			if l == nil {
				l = &plantedLoad{}
			}
			if l.result == nil {
				l.result = func(load.Plan) *load.Result { return failing(served(60, time.Millisecond), 40) }
			}
			plan := load.Plan{Connections: cmp.Or(tt.connections, len(tt.services))}
			s, err := measure.Serve(t.Context(), tt.services, plan, measure.Script{}, measure.ServingOptions{Loader: l})
			if err == nil || s != nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%+v, error %v", s, err)
			}
			for _, target := range tt.is {
				if !errors.Is(err, target) {
					t.Errorf("error %v is no %v", err, target)
				}
			}
			var failed *measure.FailedError
			if errors.As(err, &failed) != (tt.failed > 0) || failed != nil && (failed.Failed != tt.failed || failed.Requests != 100) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// The end of a service is told of a moment after its requests have failed.
func TestServeWaitsForTheEnd(t *testing.T) {
	svc := newStand(1)
	l := &plantedLoad{
		result: func(load.Plan) *load.Result { return failing(served(60, time.Millisecond), 40) },
		within: func() { time.AfterFunc(20*time.Millisecond, svc.end) },
	}
	if _, err := measure.Serve(t.Context(), []runtime.Service{svc}, load.Plan{}, measure.Script{}, measure.ServingOptions{Loader: l}); !errors.Is(err, measure.ErrServiceEnded) {
		t.Errorf("error %v", err)
	}
}

func TestServeInNetwork(t *testing.T) {
	one, other := newStand(1), newStand(2)
	one.network, other.network = "/proc/7/fd/8", "/proc/7/fd/8"
	l := &plantedLoad{result: func(load.Plan) *load.Result { return served(1, time.Millisecond) }}
	if _, err := measure.Serve(t.Context(), []runtime.Service{one, other}, load.Plan{Connections: 2}, measure.Script{}, measure.ServingOptions{Loader: l}); err != nil {
		t.Fatal(err)
	}
	if got := l.plans[0].Network; got != one.network {
		t.Errorf("the load is made from the network %q, want %q", got, one.network)
	}
}

func TestServeHonoursContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errPlanted)
	if _, err := measure.Serve(ctx, []runtime.Service{newStand(1)}, load.Plan{}, measure.Script{}, measure.ServingOptions{}); !errors.Is(err, errPlanted) {
		t.Errorf("error %v, want %v", err, errPlanted)
	}
}

// helloServers returns a fleet of native servers of the guest hello, written in Go,
// and the load that asks for its answer.
func helloServers(t *testing.T, n int) (*measure.Fleet, measure.Script) {
	t.Helper()
	w := workload.Hello(workload.Go)
	img, err := native.New().(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{})
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := measure.NewFleet(img, w, time.Minute)
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), img.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := f.Resize(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	all, err := measure.Exchanges(t.Context(), f.Services()[0], w)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(load.Exchanges(all))
	if err != nil {
		t.Fatal(err)
	}
	return f, measure.Script{Scenario: "exchanges", Parameters: p}
}

// again returns the same load for every window.
func again(s measure.Script) func(int) (measure.Script, error) {
	return func(int) (measure.Script, error) { return s, nil }
}

// brief is a load of a closed loop that is enough to see that all goes well.
var brief = load.Plan{Connections: 10, Pipelining: 2, Warmup: 100 * time.Millisecond, Duration: 400 * time.Millisecond, Sample: 1}

func TestServeNative(t *testing.T) {
	f, script := helloServers(t, 2)
	for name, rate := range map[string]float64{"closed": 0, "open": 2000} {
		t.Run(name, func(t *testing.T) {
			plan := brief
			plan.Rate = rate
			s, err := measure.Serve(t.Context(), f.Services(), plan, script, measure.ServingOptions{Memory: true})
			if errors.As(err, new(*runtime.Unavailable)) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Err(); err != nil {
				t.Error(err)
			}
			for _, unit := range []string{"req/s", "p50-ns", "p90-ns", "max-ns", "cpu-ns/req", "client-cpu-ns/req"} {
				if v, _ := valueOf(s.Metrics(), unit); v <= 0 {
					t.Errorf("no %s in %v", unit, s.Metrics())
				}
			}
			if _, open := valueOf(s.Metrics(), "achieved-%"); open != (rate > 0) || s.Memory.Own.PSS <= 0 {
				t.Errorf("%v, memory %+v", s.Metrics(), s.Memory)
			}
		})
	}
}

// A killer is a Loader that kills a process a moment after what counts has begun.
type killer struct {
	measure.Loader
	pid int
}

func (k killer) Run(ctx context.Context, p load.Plan, scenario string, parameters load.Parameters, events load.Events) (*load.Result, error) {
	begin := events.Begin
	events.Begin = func(at time.Time) {
		begin(at)
		time.AfterFunc(p.Duration/4, func() { unix.Kill(k.pid, unix.SIGKILL) })
	}
	return k.Loader.Run(ctx, p, scenario, parameters, events)
}

// A server that is killed under load is an error with the count of the requests that
// failed, and what comes after is measured as ever.
func TestServerKilled(t *testing.T) {
	f, script := helloServers(t, 2)
	victim := f.Services()[1]
	s, err := measure.Serve(t.Context(), f.Services(), brief, script, measure.ServingOptions{Loader: killer{load.Generator{}, victim.Scope().Own[0]}})
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	}
	var failed *measure.FailedError
	if !errors.As(err, &failed) || !errors.Is(err, measure.ErrServiceEnded) || s != nil {
		t.Fatalf("%+v, error %v", s, err)
	}
	if failed.Failed <= 0 || failed.Requests <= failed.Failed {
		t.Errorf("%d of %d requests failed, where one of two servers was killed", failed.Failed, failed.Requests)
	}
	for _, says := range []string{victim.Address(), "killed", "requests failed"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("the error does not say %q: %v", says, err)
		}
	}
	t.Log(err)
	if s, err := measure.Serve(t.Context(), f.Services()[:1], brief, script, measure.ServingOptions{}); err != nil || s.Err() != nil || s.Result.Completed == 0 {
		t.Errorf("after that: %+v, error %v", s, err)
	}
}

// The processes run on their part of the processors while there is load, and where
// they did afterwards.
func TestServePins(t *testing.T) {
	c := newChild(t)
	before := affinity(t, c.pid)
	d := &measure.Division{Client: []int{before[len(before)-1]}, Server: before[:1]}
	var during [][]int
	l := &plantedLoad{
		result: func(load.Plan) *load.Result { return served(1, time.Millisecond) },
		within: func() { during = affinities(t, c.pid) },
	}
	s, err := measure.Serve(t.Context(), []runtime.Service{newStand(1, c.pid)}, load.Plan{}, measure.Script{}, measure.ServingOptions{Loader: l, Division: d})
	if err != nil {
		t.Fatal(err)
	}
	for _, may := range during {
		if !slices.Equal(may, d.Server) {
			t.Errorf("under load a thread may run on %v, want %v", may, d.Server)
		}
	}
	if len(during) == 0 || !slices.Equal(l.plans[0].CPUs, d.Client) || !slices.Equal(s.Division.Server, d.Server) {
		t.Errorf("threads %v, the generator on %v, told %+v", during, l.plans[0].CPUs, s.Division)
	}
	if after := affinity(t, c.pid); !slices.Equal(after, before) {
		t.Errorf("afterwards it may run on %v, want %v", after, before)
	}
	if own := affinity(t, os.Getpid()); len(own) < len(before) {
		t.Errorf("this process may run on %v", own)
	}
}
