package wasmbench

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
)

func TestAnother(t *testing.T) {
	tests := []struct {
		name     string
		one, two float64
		memory   costmodel.Range
		base     float64
		resolved bool
	}{
		{"they share a host", 100, 110, costmodel.Range{Value: 10, Low: 10, High: 100}, 90, true},
		{"they share nothing", 100, 200, costmodel.Exactly(100), 0, true},
		{"the second takes more", 100, 230, costmodel.Range{Value: 100, Low: 100, High: 130}, 0, true},
		{"the second takes nothing", 100, 100, costmodel.Exactly(100), 0, false},
		{"two take less", 100, 90, costmodel.Exactly(100), 0, false},
	}
	for _, tt := range tests {
		memory, base, resolved := another(tt.one, tt.two)
		if memory != tt.memory || base != tt.base || resolved != tt.resolved {
			t.Errorf("%s: %v, base %v, resolved %t; want %v, %v, %t", tt.name, memory, base, resolved, tt.memory, tt.base, tt.resolved)
		}
	}
}

// A fakeService is one without a clock.
type fakeService struct {
	each      time.Duration   // a request takes so long for each user that waits
	saturated float64         // requests a second of a closed loop
	kept      float64         // the greatest rate of an open loop within any limit
	fails     func(n int) int // requests that fail in window n, from 1
	achieved  float64         // of an open loop's rate; 0 is all

	asked []load.Plan
}

func (f *fakeService) ask(users int, rate float64) (*measure.Serving, error) {
	f.asked = append(f.asked, load.Plan{Connections: users, Rate: rate})
	took, answered := time.Duration(users)*f.each, f.saturated
	r := &load.Result{Elapsed: time.Second, Latency: hdrhistogram.New(1, int64(time.Minute), 3)}
	if rate > 0 {
		took, answered = f.each, rate
		if rate > f.kept {
			took = time.Hour
		}
		r.Offered = int64(rate)
		if f.achieved > 0 {
			r.Backlog = int64(rate * (1 - f.achieved))
		}
	}
	r.Completed, r.Requests = int64(answered), int64(answered)
	if err := r.Latency.RecordValues(min(took, time.Minute).Nanoseconds(), r.Requests); err != nil {
		return nil, err
	}
	if f.fails != nil {
		r.Failed = int64(f.fails(len(f.asked)))
	}
	return &measure.Serving{Result: r, Services: 1, CPU: time.Second}, nil
}

// in is one failed request in each of these windows.
func in(windows ...int) func(int) int {
	return func(n int) int {
		if slices.Contains(windows, n) {
			return 1
		}
		return 0
	}
}

func TestSaturate(t *testing.T) {
	tests := []struct {
		name    string
		service fakeService
		users   int // 0 is errTooSlow
		asked   []int
	}{
		{"fast", fakeService{each: 900 * time.Microsecond, saturated: 1000}, 100, []int{100}},
		{"slow for a hundred", fakeService{each: 3 * time.Millisecond, saturated: 1000}, 25, []int{100, 50, 25}},
		{"slow for one", fakeService{each: 101 * time.Millisecond, saturated: 1000}, 0, []int{100, 50, 25, 12, 6, 3, 1}},
		{"fails while there are many", fakeService{each: time.Millisecond, saturated: 1000, fails: in(1, 2)}, 25, []int{100, 50, 25}},
		{"fails", fakeService{each: time.Millisecond, saturated: 1000, fails: func(int) int { return 1 }}, 0, []int{100, 50, 25, 12, 6, 3, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			users, s, err := saturate(tt.service.ask, 100, 100*time.Millisecond)
			var asked []int
			for _, p := range tt.service.asked {
				asked = append(asked, p.Connections)
			}
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("asked by %v users, want %v", asked, tt.asked)
			}
			if tt.users == 0 {
				if !errors.Is(err, errTooSlow) {
					t.Errorf("error %v, want that it is too slow", err)
				}
				return
			}
			if err != nil || users != tt.users || s.Throughput() != tt.service.saturated {
				t.Errorf("%d users, %v; want %d", users, err, tt.users)
			}
		})
	}
}

func TestSustain(t *testing.T) {
	const windows = 3
	tests := []struct {
		name          string
		service       fakeService
		rate, refused float64 // 0 is errTooSlow
		asked         int
	}{
		{"keeps up", fakeService{kept: 1000}, 700, 1000, 3},
		{"keeps half", fakeService{kept: 400}, 350, 700, 2 + 3},
		{"fails once", fakeService{kept: 1000, fails: in(2)}, 700, 1000, 4},
		{"fails in the last window again", fakeService{kept: 1000, fails: in(1, 3)}, 350, 700, 3 + 3},
		{"falls behind by the whole", fakeService{kept: 1000, achieved: 0.9}, 0, 0, 5 * 3},
		{"keeps nothing", fakeService{kept: 10}, 0, 0, 5 * 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.service.each, tt.service.saturated = time.Millisecond, 1000
			kept, refused, err := sustain(tt.service.ask, 7, windows, tt.service.saturated, 100*time.Millisecond)
			if len(tt.service.asked) != tt.asked {
				t.Errorf("asked in %d windows, want %d: %v", len(tt.service.asked), tt.asked, tt.service.asked)
			}
			if tt.rate == 0 {
				if !errors.Is(err, errTooSlow) {
					t.Errorf("error %v, want that it is too slow", err)
				}
				return
			}
			if err != nil || refused != tt.refused || len(kept) != windows {
				t.Fatalf("%d windows, refused %v, %v; want %d and %v", len(kept), refused, err, windows, tt.refused)
			}
			for _, s := range kept {
				if math.Abs(s.Throughput()-tt.rate) > 1 {
					t.Errorf("a window of %v a second, want %v", s.Throughput(), tt.rate)
				}
			}
			for _, p := range tt.service.asked {
				if p.Connections != 7 {
					t.Errorf("asked by %d users", p.Connections)
				}
			}
		})
	}
}

// What cannot be asked is an error and no slowness.
func TestAskingFails(t *testing.T) {
	broken := errors.New("it ended")
	ask := func(int, float64) (*measure.Serving, error) { return nil, broken }
	if _, _, err := saturate(ask, 1, time.Second); !errors.Is(err, broken) || errors.Is(err, errTooSlow) {
		t.Errorf("saturate: %v", err)
	}
	if _, _, err := sustain(ask, 1, 1, 1, time.Second); !errors.Is(err, broken) || errors.Is(err, errTooSlow) {
		t.Errorf("sustain: %v", err)
	}
}

// The interval of what an instance answers reaches to what it is not known to keep, and
// processor time is that of the windows that count.
func TestThroughput(t *testing.T) {
	f := fakeService{each: time.Microsecond, saturated: 1000, kept: 400}
	y, windows, err := throughput(f.ask, product{}, 7, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if want := (costmodel.Range{Value: 350, Low: 350, High: 700}); y.requests != want || y.users != 7 {
		t.Errorf("%v requests a second of %d users, want %v of 7", y.requests, y.users, want)
	}
	if want := costmodel.Exactly(1. / 350); y.own != want || len(windows) != *flagCostWindows {
		t.Errorf("%v s a request in %d windows, want %v in %d", y.own, len(windows), want, *flagCostWindows)
	}
	batch := fakeService{each: time.Hour, saturated: 5}
	p := product{users: 4}
	if users, first, err := occupy(batch.ask, p); err != nil || users != 4 || first.Throughput() != 5 {
		t.Errorf("batch: %d users, %v", users, err)
	}
	y, windows, err = throughput(batch.ask, p, 4, 5)
	if err != nil || y.requests != costmodel.Exactly(5) || y.users != 4 || len(windows) != *flagCostWindows {
		t.Errorf("batch: %v of %d users in %d windows, %v", y.requests, y.users, len(windows), err)
	}
	batch.fails = func(int) int { return 1 }
	if _, _, err := occupy(batch.ask, p); err == nil {
		t.Error("batch: a request failed and that is no error")
	}
	if _, _, err := throughput(batch.ask, p, 4, 5); err == nil {
		t.Error("batch: a request failed and that is no error")
	}
}

func TestCheapest(t *testing.T) {
	host := func(name string, gib, usd float64) costmodel.InstanceType {
		return costmodel.InstanceType{Name: name, VCPU: 2, MemoryGiB: gib, USDPerHour: usd}
	}
	busy := costmodel.Capacity{Requests: costmodel.Exactly(100), CPUPerRequest: costmodel.Exactly(0.01), Memory: costmodel.Exactly(3 << 29)}
	demand := costmodel.Demand{RequestsPerDay: 100 * 86400}
	tests := []struct {
		name     string
		types    costmodel.Catalogue
		capacity costmodel.Capacity
		want     string
		usd      float64
		unfit    int
		bad      bool
	}{
		{name: "the cheaper", types: costmodel.Catalogue{host("dear", 4, 0.2), host("cheap", 4, 0.1)}, capacity: busy, want: "cheap", usd: 72},
		{name: "the first of two", types: costmodel.Catalogue{host("first", 4, 0.1), host("second", 4, 0.1)}, capacity: busy, want: "first", usd: 72},
		{name: "the one that is large enough", types: costmodel.Catalogue{host("small", 1, 0.01), host("large", 4, 0.2)}, capacity: busy, want: "large", usd: 144, unfit: 1},
		{name: "none is", types: costmodel.Catalogue{host("small", 1, 0.01), host("smaller", 0.5, 0.01)}, capacity: busy, unfit: 2},
		{name: "nothing was measured", types: costmodel.Catalogue{host("small", 1, 0.01)}, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, bill, unfit, err := cheapest(costmodel.Service{Name: "s", Capacity: tt.capacity}, tt.types, demand, costmodel.ArticleMonth)
			if tt.bad != errors.Is(err, costmodel.ErrInput) || !tt.bad && err != nil {
				t.Fatalf("error %v", err)
			}
			if name != tt.want || math.Abs(bill.USD.Value-tt.usd) > 1e-9 || len(unfit) != tt.unfit {
				t.Errorf("%q for %v USD, %d do not fit; want %q, %v, %d", name, bill.USD.Value, len(unfit), tt.want, tt.usd, tt.unfit)
			}
		})
	}
}

// A year takes the measurement of each run once, and measures when there is no other.
func TestSalesAreTakenOnce(t *testing.T) {
	s := &sales{measured: []sold{{host: "1"}, {host: "2"}}}
	measured := 0
	for _, want := range []string{"1", "2", "new", "new"} {
		if got := s.next(func() sold { measured++; return sold{host: "new"} }); got.host != want {
			t.Errorf("%s, want %s", got.host, want)
		}
	}
	if measured != 2 || len(s.measured) != 4 {
		t.Errorf("%d were measured, there are %d", measured, len(s.measured))
	}
}

// There is a way for every runtime, unless -http.serve has none of its own.
func TestOneWay(t *testing.T) {
	tests := []struct {
		runtime    runtime.Runtime
		flag, want string
	}{
		{native.New(), "fresh", "serve=process/net=host"},
		{wazero.Embedded(), "", "serve=pool/net=host"},
		{wazero.Embedded(), "fresh", "serve=fresh/net=host"},
		{wazero.Embedded(), "all", "serve=pool/net=host"},
		{spin.New(spin.Options{}), "", "serve=fresh/net=host"},
		{spin.New(spin.Options{}), "pool", ""},
	}
	before := *flagServe
	defer func() { *flagServe = before }()
	for _, tt := range tests {
		*flagServe = tt.flag
		by, ok := oneWay(&candidate{Runtime: tt.runtime})
		if ok != (tt.want != "") || ok && by.String() != tt.want {
			t.Errorf("%s, -http.serve=%s: %s, %t; want %s", tt.runtime.Name(), tt.flag, by, ok, tt.want)
		}
	}
}
