package load_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// children returns the processes whose parent a process is.
func children(t *testing.T, of int) (all []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", of))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lists {
		b, err := os.ReadFile(l)
		if err != nil {
			continue // the thread has ended
		}
		for _, s := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(s)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// The module's own program, another one, and this process measure alike.
func TestGenerator(t *testing.T) {
	address := serve(t, helloServer)
	for _, tt := range []struct {
		name string
		g    load.Generator
	}{{"own", load.Generator{}}, {"other", load.Generator{Path: self()}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(role, "generator")
			var events []string
			plan := load.Plan{Addresses: []string{address}, Connections: 10, Rate: 1000, Duration: 200 * time.Millisecond, Warmup: 50 * time.Millisecond}
			r, err := tt.g.Run(t.Context(), plan, "exchanges", exchanges(hello), load.Events{
				Begin: func(time.Time) { events = append(events, "begin") },
				End:   func(time.Time) { events = append(events, "end") },
			})
			var none *workload.Unavailable
			if errors.As(err, &none) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			consistent(t, r)
			if r.Requests != 200 || r.Failed > 0 || r.Connects != 10 || r.Lag.TotalCount() != 200 || r.Elapsed != plan.Duration {
				t.Errorf("%+v", r)
			}
			if !slices.Equal(events, []string{"begin", "end"}) {
				t.Errorf("events %q", events)
			}
			if left := children(t, os.Getpid()); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

// Events tell of the time that they are about, however late they are heard, and are
// heard on other processors than the generator's.
func TestEvents(t *testing.T) {
	t.Setenv(role, "generator")
	var anywhere unix.CPUSet
	if err := unix.SchedGetaffinity(0, &anywhere); err != nil {
		t.Fatal(err)
	}
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Warmup: 50 * time.Millisecond, Duration: 100 * time.Millisecond, CPUs: []int{lastProcessor(t)}}
	for name, run := range map[string]func(load.Events) (*load.Result, error){
		"here": func(e load.Events) (*load.Result, error) { return load.Run(t.Context(), plan, hello, e) },
		"generator": func(e load.Events) (*load.Result, error) {
			return load.Generator{Path: self()}.Run(t.Context(), plan, "exchanges", exchanges(hello), e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			where := func() {
				var here unix.CPUSet
				if err := unix.SchedGetaffinity(0, &here); err != nil || here != anywhere {
					t.Errorf("an event is heard on %d processors of %d, error %v", here.Count(), anywhere.Count(), err)
				}
			}
			before := time.Now()
			var begin, heard, end time.Time
			_, err := run(load.Events{
				Begin: func(at time.Time) {
					where()
					begin = at
					time.Sleep(time.Until(at.Add(2 * plan.Duration)))
					heard = time.Now()
				},
				End: func(at time.Time) {
					where()
					end = at
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if begin.Before(before.Add(plan.Warmup)) || !begin.Before(end) || !end.Before(heard) {
				t.Errorf("what counts, which is %v, began %v after the call and ended %v after that; its beginning was heard of until %v after that", plan.Duration, begin.Sub(before), end.Sub(begin), heard.Sub(begin))
			}
		})
	}
}

// A harness that gives up an event does not wait for the result.
func TestEventThatExits(t *testing.T) {
	t.Setenv(role, "generator")
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Duration: time.Hour}
	r, err := load.Generator{Path: self()}.Run(t.Context(), plan, "exchanges", exchanges(hello), load.Events{Begin: func(time.Time) { runtime.Goexit() }})
	if r != nil || err == nil || !strings.Contains(err.Error(), "an event ended its goroutine") {
		t.Errorf("%+v, error %v", r, err)
	}
	if left := children(t, os.Getpid()); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// The module's own program has the shop's customers too.
func TestGeneratorOfTheShop(t *testing.T) {
	plan := load.Plan{Addresses: []string{"127.0.0.1:1"}}
	_, err := load.Generator{}.Run(t.Context(), plan, "shop", load.Parameters(`{"endpoint": "cellar"}`), load.Events{})
	if errors.As(err, new(*workload.Unavailable)) {
		t.Skip(err)
	}
	if err == nil || !strings.Contains(err.Error(), `there is no endpoint "cellar"`) {
		t.Errorf("error %v", err)
	}
}

func TestGeneratorFails(t *testing.T) {
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Duration: 10 * time.Millisecond}
	isExit := func(err error) bool { return errors.As(err, new(*load.ExitError)) }
	noExit := func(err error) bool { return !isExit(err) }
	for _, tt := range []struct {
		name, path, scenario string
		parameters           load.Parameters
		says                 string
		is                   func(error) bool
	}{
		{"no such scenario", self(), "hunger", nil, `there is no scenario "hunger"; there are: affinity, exchanges, exits, hangs`, noExit},
		{"no parameters", self(), "exchanges", nil, "scenario exchanges: unexpected end of JSON input", noExit},
		{"other parameters", self(), "exchanges", load.Parameters(`{"a": 1}`), "cannot unmarshal object", noExit},
		{"no exchanges", self(), "exchanges", load.Parameters(`[]`), "there are no exchanges to make", noExit},
		{"parameters that are no JSON", self(), "exchanges", load.Parameters(`{`), "the parameters of scenario exchanges", noExit},
		{"no program", "/no/such/program", "exchanges", nil, "/no/such/program", func(err error) bool { return errors.Is(err, fs.ErrNotExist) }},
		{"another program", "/bin/true", "exchanges", nil, "it ended with exit status 0", isExit},
		{"a program that fails", self(), "exits", nil, "it ended with exit status 7; its log: no way on", isExit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(role, "generator")
			_, err := load.Generator{Path: tt.path}.Run(t.Context(), plan, tt.scenario, tt.parameters, load.Events{})
			if err == nil || !strings.Contains(err.Error(), tt.says) || !tt.is(err) {
				t.Errorf("error %v", err)
			}
			if left := children(t, os.Getpid()); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
	_, err := load.Generator{Path: self()}.Run(t.Context(), load.Plan{}, "exchanges", nil, load.Events{})
	if !errors.As(err, new(*load.PlanError)) {
		t.Errorf("a plan of nothing: error %v", err)
	}
}

// A program that says something else, nothing, or no end of it is no generator.
func TestGeneratorThatIsNone(t *testing.T) {
	plan := load.Plan{Addresses: []string{"127.0.0.1:1"}}
	for _, script := range []string{"echo hello; exec sleep 1000", "yes", "kill -9 $$"} {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		var exit *load.ExitError
		if _, err := (load.Generator{Path: path}).Run(t.Context(), plan, "", nil, load.Events{}); !errors.As(err, &exit) {
			t.Errorf("%s: error %v", script, err)
		}
		if left := children(t, os.Getpid()); len(left) > 0 {
			t.Errorf("%s: processes %v are left", script, left)
		}
	}
}

func TestGeneratorCancelled(t *testing.T) {
	t.Setenv(role, "generator")
	address := serve(t, helloServer)
	why := errors.New("enough")
	descriptors := open(t)
	for i := range 10 {
		ctx, cancel := context.WithCancelCause(t.Context())
		events := load.Events{Begin: func(time.Time) { cancel(why) }}
		if i > 0 {
			timer := time.AfterFunc(time.Duration(i)*3*time.Millisecond, func() { cancel(why) })
			defer timer.Stop()
		}
		plan := load.Plan{Addresses: []string{address}, Connections: 20, Duration: time.Hour}
		if _, err := (load.Generator{Path: self()}).Run(ctx, plan, "exchanges", exchanges(hello), events); err != why {
			t.Errorf("error %v", err)
		}
		if left := children(t, os.Getpid()); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	}
	until(t, "descriptors are back", func() (string, bool) {
		now := open(t)
		return fmt.Sprintf("%q, before %q", now, descriptors), len(now) <= len(descriptors)
	})
}

// What the generator slept through it does not take for the service's doing.
func TestGeneratorIsStopped(t *testing.T) {
	t.Setenv(role, "generator")
	const stop = 200 * time.Millisecond
	for _, connections := range []int{1, 100} {
		plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Connections: connections, Rate: 1000, Duration: time.Second, Timeout: time.Minute}
		var stopped sync.WaitGroup
		r, err := load.Generator{Path: self()}.Run(t.Context(), plan, "exchanges", exchanges(hello), load.Events{Begin: func(time.Time) {
			for _, pid := range children(t, os.Getpid()) {
				stopped.Go(func() {
					if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
						t.Error(err)
					}
					time.Sleep(stop)
					syscall.Kill(pid, syscall.SIGCONT)
				})
			}
		}})
		stopped.Wait()
		if err != nil {
			t.Fatal(err)
		}
		// Of 1000 requests 200 were due meanwhile.
		if lag := time.Duration(r.Lag.ValueAtQuantile(99)); r.Requests != 1000 || lag < stop/2 {
			t.Errorf("%d users: %d right, lag p99 %v, latency p99 %v", connections, r.Requests, lag, time.Duration(r.Latency.ValueAtQuantile(99)))
		}
	}
}

// A generator that goes nowhere is ended, and says where it was.
func TestGeneratorHangs(t *testing.T) {
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Duration: time.Second, Timeout: time.Millisecond}
	tests := []struct{ path, command, says string }{
		{"", role + "=generator exec " + self(), "load_test.hanger.Next"},
		{"", "trap '' QUIT; exec sleep 1000", "signal: killed"},
	}
	for i, tt := range tests {
		tests[i].path = filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(tests[i].path, []byte("#!/bin/sh\n"+tt.command+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Parallel() // it takes ten seconds, and the files are closed in each process
	var all sync.WaitGroup
	for _, tt := range tests {
		all.Go(func() {
			_, err := load.Generator{Path: tt.path}.Run(t.Context(), plan, "hangs", nil, load.Events{})
			var exit *load.ExitError
			if !errors.As(err, &exit) || !errors.Is(err, load.ErrHung) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: error %v", tt.command, err)
			}
		})
	}
	all.Wait()
}

// A generator ends with its harness, however that ended.
func TestHarnessIsKilled(t *testing.T) {
	address := serve(t, helloServer)
	harness := exec.Command(self(), address)
	harness.Env = append(os.Environ(), role+"=harness")
	harness.Stderr = os.Stderr
	if err := harness.Start(); err != nil {
		t.Fatal(err)
	}
	var generators []int
	until(t, "the generator runs", func() (string, bool) {
		generators = children(t, harness.Process.Pid)
		return "", len(generators) == 1
	})
	if err := harness.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Wait()
	until(t, "the generator has ended", func() (string, bool) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", generators[0]))
		return string(b), err != nil || strings.Contains(string(b), ") Z ")
	})
}

// A generator without a harness ends too where no signal tells it.
func TestStandardInputEnds(t *testing.T) {
	plan := load.Plan{Addresses: []string{serve(t, helloServer)}, Duration: time.Hour}
	what, err := json.Marshal(map[string]any{"plan": plan, "scenario": "exchanges", "parameters": exchanges(hello)})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self())
	cmd.Env = append(os.Environ(), role+"=generator")
	cmd.Stdin = strings.NewReader(string(what)) // and no more
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), `"error":"nobody waits for the result any more"`) {
		t.Errorf("%s, error %v", out, err)
	}
}

func histogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute), 3) }

// Everything of several results is in their sum.
func TestMerge(t *testing.T) {
	one := &load.Result{Elapsed: 1, Requests: 2, Offered: 3, Completed: 4, Late: 5, Backlog: 6, Failed: 7, Failures: []load.Failure{{Text: "x", Count: 6}, {Text: "y", Count: 1}},
		Received: 8, Connects: 9, Latency: histogram(), Lag: histogram(), Wait: histogram(), CPU: 10}
	other := &load.Result{Elapsed: 10, Failed: 8, Failures: []load.Failure{{Text: "y", Count: 8}}, Latency: histogram()}
	one.Latency.RecordValue(1)
	one.Lag.RecordValue(2)
	one.Wait.RecordValue(3)
	other.Latency.RecordValue(4)
	sum := load.Merge(one, other)
	for h, want := range map[*hdrhistogram.Histogram][]int64{sum.Latency: {1, 4}, sum.Lag: {2}, sum.Wait: {3}} {
		if h.TotalCount() != int64(len(want)) || h.Min() != want[0] || h.Max() != want[len(want)-1] {
			t.Errorf("%d values from %d to %d, want %v", h.TotalCount(), h.Min(), h.Max(), want)
		}
	}
	want := load.Result{Elapsed: 11, Requests: 2, Offered: 3, Completed: 4, Late: 5, Backlog: 6, Failed: 15, Failures: []load.Failure{{Text: "y", Count: 9}, {Text: "x", Count: 6}},
		Received: 8, Connects: 9, Latency: sum.Latency, Lag: sum.Lag, Wait: sum.Wait, CPU: 10}
	if !reflect.DeepEqual(*sum, want) {
		t.Errorf("%+v, want %+v", *sum, want)
	}
	for i, v := 0, reflect.ValueOf(want); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("field %s is not tested", v.Type().Field(i).Name)
		}
	}
	if none := load.Merge(); none.Latency.TotalCount() != 0 || none.Achieved() != 1 {
		t.Errorf("nothing merged: %+v", none)
	}
}

// A result without histograms has empty ones in another process.
func TestResultWithoutHistograms(t *testing.T) {
	b, err := json.Marshal(&load.Result{Requests: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got load.Result
	if err := json.Unmarshal(b, &got); err != nil || got.Requests != 1 {
		t.Fatalf("%s is %+v, error %v", b, got, err)
	}
	for _, h := range []*hdrhistogram.Histogram{got.Latency, got.Lag, got.Wait} {
		if h == nil || h.TotalCount() != 0 {
			t.Errorf("of %s a histogram is %+v", b, h)
		}
	}
}

// A result is the same in another process.
func TestResultAsJSON(t *testing.T) {
	r := load.Result{
		Elapsed: 1, Requests: 2, Offered: 3, Completed: 4, Failed: 5, Failures: []load.Failure{{Text: "x", Count: 6}}, Received: 7, Connects: 8,
		Late: 9, Backlog: 10, Latency: histogram(), Lag: histogram(), Wait: histogram(), CPU: 11,
	}
	for i, v := 0, reflect.ValueOf(r); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Fatalf("field %s is not tested", v.Type().Field(i).Name)
		}
	}
	for range 10_000 {
		r.Latency.RecordValue(rand.Int64N(int64(time.Minute)))
		r.Lag.RecordValue(rand.Int64N(1000))
		r.Wait.RecordValue(rand.Int64N(1_000_000))
	}
	b, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var got load.Result
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if !got.Latency.Equals(r.Latency) || !got.Lag.Equals(r.Lag) || !got.Wait.Equals(r.Wait) {
		t.Error("the histograms differ")
	}
	got.Latency, got.Lag, got.Wait = r.Latency, r.Lag, r.Wait
	if !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, want %+v", got, r)
	}
}
