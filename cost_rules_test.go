package wasmbench

import (
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"strings"
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
		{"the second takes more", 100, 230, costmodel.Range{Value: 115, Low: 100, High: 130}, 0, true},
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
	each      time.Duration    // a request takes so long for each user that waits
	saturated float64          // requests a second of a closed loop
	kept      float64          // the greatest rate of an open loop within any limit
	fails     func(n int) int  // requests that fail in window n, from 1
	slow      func(n int) int  // requests that take longer than any limit
	late      func(n int) bool // the load generator is late, and all that is asked with it
	unread    func(n int) bool // nothing is known of the processor time
	achieved  float64          // of an open loop's rate; 0 is all

	asked []load.Plan
}

func (f *fakeService) ask(users int, rate float64, least time.Duration) (*measure.Serving, error) {
	f.asked = append(f.asked, load.Plan{Connections: users, Rate: rate, Duration: least})
	n := len(f.asked)
	took, answered := time.Duration(users)*f.each, f.saturated
	r := &load.Result{Elapsed: least, Latency: histogram()}
	late := f.late != nil && f.late(n)
	if rate > 0 {
		took, answered = f.each, rate
		if rate > f.kept || late {
			took = time.Minute
		}
	}
	r.Requests = int64(math.Round(answered * least.Seconds()))
	r.Completed = r.Requests
	if rate > 0 {
		r.Offered = r.Requests
		if f.achieved > 0 {
			r.Backlog = int64(float64(r.Offered) * (1 - f.achieved))
		}
	}
	slow := int64(0)
	if f.slow != nil {
		slow = int64(f.slow(n))
	}
	err := errors.Join(r.Latency.RecordValues(took.Nanoseconds(), r.Requests-slow), r.Latency.RecordValues(time.Minute.Nanoseconds(), slow))
	if late {
		r.Lag = histogram()
		err = errors.Join(err, r.Lag.RecordValue(time.Minute.Nanoseconds()))
	}
	if f.fails != nil {
		r.Failed = int64(f.fails(n))
	}
	s := &measure.Serving{Result: r, Services: 1, CPU: time.Duration(r.Completed) * time.Millisecond}
	if f.unread != nil && f.unread(n) {
		s.CPU = 0
	}
	return s, err
}

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// windows are those with one of these numbers.
func windows(these ...int) func(int) bool {
	return func(n int) bool { return slices.Contains(these, n) }
}

// in is one request in each of these windows.
func in(these ...int) func(int) int {
	return func(n int) int {
		if slices.Contains(these, n) {
			return 1
		}
		return 0
	}
}

// every is so many requests in each window.
func every(requests int) func(int) int { return func(int) int { return requests } }

func TestSaturate(t *testing.T) {
	tests := []struct {
		name    string
		service fakeService
		users   int // 0 is errTooSlow
		asked   []int
	}{
		{"fast", fakeService{each: 900 * time.Microsecond, saturated: 4000}, 100, []int{100}},
		{"slow for a hundred", fakeService{each: 3 * time.Millisecond, saturated: 4000}, 25, []int{100, 50, 25}},
		{"slow for one", fakeService{each: 101 * time.Millisecond, saturated: 4000}, 0, []int{100, 50, 25, 12, 6, 3, 1}},
		{"fails while there are many", fakeService{each: time.Millisecond, saturated: 4000, fails: in(1, 2)}, 25, []int{100, 50, 25}},
		{"fails", fakeService{each: time.Millisecond, saturated: 4000, fails: every(1)}, 0, []int{100, 50, 25, 12, 6, 3, 1}},
		{"too few carry a p99", fakeService{each: 3 * time.Millisecond, saturated: 100, slow: in(3)}, 25, []int{100, 50, 25, 25}},
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
				t.Fatalf("%d users, %v; want %d", users, err, tt.users)
			}
			if _, ok := s.Percentile(99); !ok {
				t.Errorf("%d requests tell it, which carry no p99", s.Result.Requests)
			}
		})
	}
}

// without has a duration's flag set no bound for a test.
func without(t *testing.T, bound *time.Duration) {
	given := *bound
	*bound = 0
	t.Cleanup(func() { *bound = given })
}

func TestSustain(t *testing.T) {
	without(t, flagBudget)
	const windowsOf = 3
	tests := []struct {
		name          string
		service       fakeService
		rate, refused float64 // of 1000; 0 is errTooSlow
		asked         int
		says          string // where it is too slow
	}{
		{"keeps up", fakeService{kept: 1000}, 700, 1000, 3, ""},
		{"keeps half", fakeService{kept: 400}, 350, 437.5, 4 * 3, ""},
		{"keeps nearly all", fakeService{kept: 620}, 612.5, 700, 4 * 3, ""},
		{"keeps little more than half", fakeService{kept: 450}, 437.5, 525, 4 * 3, ""},
		{"keeps a quarter", fakeService{kept: 200}, 175, 218.75, 5 * 3, ""},
		{"fails once", fakeService{kept: 1000, fails: in(2)}, 700, 1000, 4, ""},
		{"fails again", fakeService{kept: 1000, fails: in(1, 3)}, 612.5, 700, 3 + 3*3, ""},
		{"the generator is late once", fakeService{kept: 1000, late: windows(2)}, 700, 1000, 4, ""},
		{"the generator is late again", fakeService{kept: 1000, late: windows(2, 4)}, 612.5, 700, 4 + 3*3, ""},
		{"one of a window is slow", fakeService{kept: 1000, slow: every(1)}, 700, 1000, 3, ""},
		{"too many are slow", fakeService{kept: 1000, slow: every(5)}, 0, 0, 5 * 3, "the latency at p99 was"},
		{"falls behind by the whole", fakeService{kept: 1000, achieved: 0.9}, 0, 0, 5 * 3, "of the rate was achieved"},
		{"keeps nothing", fakeService{kept: 10}, 0, 0, 5 * 3, "the latency at p99 was"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.service.each, tt.service.saturated = time.Millisecond, 1000
			kept, refused, err := sustain(tt.service.ask, 7, windowsOf, tt.service.saturated, 100*time.Millisecond)
			if len(tt.service.asked) != tt.asked {
				t.Errorf("asked in %d windows, want %d: %v", len(tt.service.asked), tt.asked, tt.service.asked)
			}
			if tt.rate == 0 {
				if !errors.Is(err, errTooSlow) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want that it is too slow and %q", err, tt.says)
				}
				return
			}
			if err != nil || refused != tt.refused || len(kept) != windowsOf {
				t.Fatalf("%d windows, refused %v, %v; want %d and %v", len(kept), refused, err, windowsOf, tt.refused)
			}
			for _, s := range kept {
				if math.Abs(s.Throughput()/tt.rate-1) > 0.01 {
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

// Windows at a rate are long enough for a p99 of them together, and what is too slow for
// that is judged by the longest latency, which the error says.
func TestWindowsCarryP99(t *testing.T) {
	tests := []struct {
		name     string
		rate     float64
		opLimit  time.Duration
		budget   time.Duration
		slow     int
		length   time.Duration
		says     string // "" is kept
		carrying bool
	}{
		{name: "fast", rate: 2000, opLimit: time.Minute, length: 250 * time.Millisecond, carrying: true},
		{name: "slow", rate: 50, opLimit: time.Minute, slow: 1, length: time.Second * 10 / 3, carrying: true},
		{name: "cut short", rate: 50, opLimit: time.Second, length: time.Second / 3},
		{name: "cut short by the budget", rate: 50, opLimit: time.Minute, budget: 3 * time.Second, length: time.Second},
		{name: "cut short and over", rate: 50, opLimit: time.Minute, budget: 3 * time.Second, slow: 1, length: time.Second, says: "the longest of 150 latencies"},
		{name: "less than a window", rate: 50, opLimit: time.Millisecond, length: 250 * time.Millisecond},
	}
	without(t, flagBudget)
	limit, least := *flagOpLimit, *flagCostTime
	defer func() { *flagOpLimit, *flagCostTime = limit, least }()
	*flagCostTime = 250 * time.Millisecond
	for _, tt := range tests {
		*flagOpLimit, *flagBudget = tt.opLimit, tt.budget
		f := fakeService{each: time.Millisecond, kept: 1e6, slow: every(tt.slow)}
		kept, why, err := hold(f.ask, 7, 3, tt.rate, 100*time.Millisecond)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if (why != nil) != (tt.says != "") || why != nil && !strings.Contains(why.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, why, tt.says)
		}
		for _, p := range f.asked {
			if d := p.Duration - tt.length; d.Abs() > time.Millisecond {
				t.Errorf("%s: a window of %v, want %v", tt.name, p.Duration, tt.length)
			}
		}
		if _, ok := (measure.CurveStep{Instances: 1, Windows: kept}).Serving().Percentile(99); why == nil && ok != tt.carrying {
			t.Errorf("%s: a p99 %t, want %t", tt.name, ok, tt.carrying)
		}
	}
}

// A window of pictures has enough of them, and no p99 to carry.
func TestQueue(t *testing.T) {
	without(t, flagBudget)
	tests := []struct {
		name      string
		saturated float64
		first     float64 // the rate that the first window told
		asked     []time.Duration
	}{
		{"as told", 4, 4, []time.Duration{3 * time.Second, 3 * time.Second}},
		{"slower than told", 4, 8, []time.Duration{1500 * time.Millisecond, 3 * time.Second, 3 * time.Second}},
		{"faster than told", 4, 2, []time.Duration{6 * time.Second, 3 * time.Second}},
		{"fast", 1000, 1000, []time.Duration{*flagCostTime, *flagCostTime}},
		{"too slow for -oplimit", 0.1, 0.1, []time.Duration{*flagOpLimit, *flagOpLimit}},
	}
	for _, tt := range tests {
		f := fakeService{saturated: tt.saturated}
		all, err := queue(f.ask, 2, 2, tt.first)
		if err != nil || len(all) != 2 {
			t.Errorf("%s: %d windows, %v", tt.name, len(all), err)
		}
		var asked []time.Duration
		for _, p := range f.asked {
			asked = append(asked, p.Duration)
		}
		if !slices.Equal(asked, tt.asked) {
			t.Errorf("%s: windows of %v, want %v", tt.name, asked, tt.asked)
		}
	}
}

// Processor time that is not known is no processor time of 0.
func TestTimed(t *testing.T) {
	tests := []struct {
		name   string
		unread func(int) bool
		asked  int
		fails  bool
	}{
		{"read", windows(), 1, false},
		{"read the third time", windows(1, 2), 3, false},
		{"never read", windows(1, 2, 3), 3, true},
	}
	for _, tt := range tests {
		f := fakeService{saturated: 100, unread: tt.unread}
		s, err := timed(f.ask)(1, 0, time.Second)
		if (err != nil) != tt.fails || len(f.asked) != tt.asked {
			t.Errorf("%s: %v, asked %d times; want %d", tt.name, err, len(f.asked), tt.asked)
		}
		if err == nil && s.CPU == 0 || err != nil && errors.Is(err, errTooSlow) {
			t.Errorf("%s: %v, %v", tt.name, s, err)
		}
	}
	f := fakeService{each: time.Microsecond, saturated: 1000, kept: 1000, unread: windows(2)}
	if y, _, err := throughput(f.ask, product{}, 7, 1000); err != nil || y.own.Low == 0 {
		t.Errorf("throughput: %v s a request, %v", y.own, err)
	}
}

// Memory is that of instances of which none was asked before the others.
func TestResidents(t *testing.T) {
	var did []string
	resize := func(n int) error { did = append(did, fmt.Sprint("resize ", n)); return nil }
	ask := func(users int, rate float64, least time.Duration) (*measure.Serving, error) {
		did = append(did, fmt.Sprint("ask ", users, rate, least))
		return &measure.Serving{Result: &load.Result{}, Memory: measure.Usage{Own: measure.Footprint{PSS: int64(users)}}}, nil
	}
	one, two, err := residents(resize, ask, 7, time.Second)
	if err != nil || one.Own.PSS != 7 || two.Own.PSS != 14 {
		t.Errorf("%v and %v, %v", one, two, err)
	}
	if want := []string{"resize 0", "resize 1", "ask 7 0 1s", "resize 0", "resize 2", "ask 14 0 1s"}; !slices.Equal(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
	failing := fakeService{saturated: 10, fails: every(1)}
	if _, _, err := residents(resize, failing.ask, 7, time.Second); err == nil {
		t.Error("a request failed and that is no error")
	}
	gone := errors.New("gone")
	if _, _, err := residents(func(int) error { return gone }, ask, 7, time.Second); !errors.Is(err, gone) {
		t.Errorf("error %v, want %v", err, gone)
	}
}

// What cannot be asked is an error and no slowness.
func TestAskingFails(t *testing.T) {
	broken := errors.New("it ended")
	ask := func(int, float64, time.Duration) (*measure.Serving, error) { return nil, broken }
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
	if math.Abs(y.requests.Value-350) > 2 || y.requests.High != 437.5 || y.users != 7 {
		t.Errorf("%v requests a second of %d users, want 350 to 437.5 of 7", y.requests, y.users)
	}
	if math.Abs(y.own.Value-1e-3) > 1e-9 || len(windows) != *flagCostWindows {
		t.Errorf("%v s a request in %d windows, want 0.001 in %d", y.own, len(windows), *flagCostWindows)
	}
	batch := fakeService{each: time.Second, saturated: 4}
	p := product{users: 4}
	if users, first, err := occupy(batch.ask, p); err != nil || users != 4 || first.Throughput() != 4 {
		t.Errorf("batch: %d users, %v", users, err)
	}
	y, windows, err = throughput(batch.ask, p, 4, 4)
	if err != nil || y.requests != costmodel.Exactly(4) || y.users != 4 || len(windows) != *flagCostWindows {
		t.Errorf("batch: %v of %d users in %d windows, %v", y.requests, y.users, len(windows), err)
	}
	batch.fails = every(1)
	if _, _, err := occupy(batch.ask, p); err == nil {
		t.Error("batch: a request failed and that is no error")
	}
	if _, _, err := throughput(batch.ask, p, 4, 4); err == nil {
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

// A year takes the measurement of each run once, that it had none of too, and measures
// when there is no other.
func TestSalesAreTakenOnce(t *testing.T) {
	slow := fmt.Errorf("%w: run 1", errTooSlow)
	s := &sales{}
	for _, of := range []struct {
		sold
		err error
	}{{sold{}, slow}, {sold{host: "2"}, nil}} {
		if err := s.add().take(func() (sold, error) { return of.sold, of.err }); !errors.Is(err, of.err) {
			t.Errorf("error %v, want %v", err, of.err)
		}
	}
	measured := 0
	for _, want := range []struct {
		host string
		err  error
	}{{"", slow}, {"2", nil}, {"new", nil}, {"new", nil}} {
		got := s.next()
		err := got.take(func() (sold, error) { measured++; return sold{host: "new"}, nil })
		if got.host != want.host || !errors.Is(err, want.err) {
			t.Errorf("%q, %v; want %q, %v", got.host, err, want.host, want.err)
		}
	}
	if measured != 2 || len(s.runs) != 4 {
		t.Errorf("%d were measured, there are %d", measured, len(s.runs))
	}
}

// A run whose benchmark ended while it measured has no figure, and no other stands for it.
func TestUnsold(t *testing.T) {
	s := &sales{}
	func() {
		defer func() { _ = recover() }()
		s.add().take(func() (sold, error) { panic("ended") })
	}()
	if err := s.next().take(func() (sold, error) { return sold{host: "other"}, nil }); !errors.Is(err, errUnsold) {
		t.Errorf("error %v, want %v", err, errUnsold)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("service=api: %w by a single user", errTooSlow), true},
		{fmt.Errorf("service=api: %w", errUnsold), true},
		{errors.Join(&costmodel.UnfitError{}, &costmodel.UnfitError{}), true},
		{costmodel.ErrInput, false},
		{errors.New("it ended"), false},
	}
	for _, tt := range tests {
		if got := refused(tt.err); got != tt.want {
			t.Errorf("%v: %t, want %t", tt.err, got, tt.want)
		}
	}
}

// All products' runs are taken before one of them can end the benchmark.
func TestNextOf(t *testing.T) {
	before := suite.sold
	defer func() { suite.sold = before }()
	suite.sold = map[string]*sales{}
	c, all := cell[nothing]{candidate: &candidate{Runtime: native.New()}}, products(t.TempDir())
	for _, p := range all {
		for _, run := range []string{"1", "2"} {
			if err := salesOf(c, way{}, p).add().take(func() (sold, error) { return sold{host: p.name + run}, nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, run := range []string{"1", "2"} {
		for i, s := range nextOf(c, way{}, all) {
			if want := all[i].name + run; s.host != want {
				t.Errorf("%s, want %s", s.host, want)
			}
		}
	}
}

// As many users keep a queue busy as there are processors, by how many workers ever others
// compute.
func TestBatchUsers(t *testing.T) {
	before := suite.workers
	defer func() { suite.workers = before }()
	suite.workers = []int{goruntime.NumCPU() + 5}
	for _, p := range products(t.TempDir()) {
		if want := map[string]int{"batch": goruntime.NumCPU()}[p.name]; p.users != want {
			t.Errorf("%s: %d users, want %d", p.name, p.users, want)
		}
	}
}

func TestLeastBill(t *testing.T) {
	types := costmodel.Catalogue{
		{Name: "large", VCPU: 2, MemoryGiB: 4, USDPerHour: 0.2, Baseline: 0.2, SurplusUSD: 0.05},
		{Name: "small", VCPU: 2, MemoryGiB: 2, USDPerHour: 0.1, Baseline: 0.2, SurplusUSD: 0.05},
	}
	tests := []struct {
		name      string
		cpu       float64 // seconds of a request
		memoryGiB float64
		want      bool
	}{
		{"one of the cheapest", 0.001, 1, true},
		{"more than its price covers", 0.01, 1, false},
		{"several", 0.1, 1, false},
		{"one of another type", 0.001, 3, false},
	}
	for _, tt := range tests {
		s := costmodel.Service{Name: "s", Capacity: costmodel.Capacity{Requests: costmodel.Exactly(1000), CPUPerRequest: costmodel.Exactly(tt.cpu), Memory: costmodel.Exactly(tt.memoryGiB * (1 << 30))}}
		host, bill, _, err := cheapest(s, types, costmodel.Demand{RequestsPerDay: 100 * 86400}, costmodel.ArticleMonth)
		if err != nil {
			t.Fatal(err)
		}
		if got := (sold{host: host, bill: bill}).least(types, costmodel.ArticleMonth); got != tt.want {
			t.Errorf("%s: %t, want %t: %+v", tt.name, got, tt.want, bill)
		}
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
