package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// embedded runs f on every runtime whose instances live in one process.
func embedded(t *testing.T, f func(t *testing.T, r runtime.Runtime)) {
	for _, tt := range []struct {
		name string
		r    runtime.Runtime
	}{
		{"wazero", wazero.Embedded()},
		{"wasmtime", wasmtime.Embedded(wasmtime.EmbeddedOptions{})},
		{"wasmtime-go", wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go})},
		{"wasmedge", wasmedge.Embedded()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			available(t, tt.r)
			f(t, tt.r)
		})
	}
}

// start starts n instances, which the test closes.
func start(t *testing.T, img runtime.Image, n int) []runtime.Instance {
	t.Helper()
	var all []runtime.Instance
	for range n {
		inst, err := img.Start(t.Context(), unmarked)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
		})
		all = append(all, inst)
	}
	return all
}

// together calls the instances at the same time, unless that takes for ever.
func together(t *testing.T, team []runtime.Instance, requests ...string) ([][]byte, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var bodies [][]byte
	for _, r := range requests {
		bodies = append(bodies, []byte(r))
	}
	return team[0].(runtime.Companion).CallTogether(ctx, team[1:], bodies)
}

func TestTogether(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, workload.Hello(workload.C))
		for _, n := range []int{1, 2, 5} {
			team := start(t, img, n)
			for round := range 3 {
				var requests []string
				for i := range n {
					requests = append(requests, strings.Repeat(fmt.Sprint("number ", i, round), 1+1000*i)) // longer than the first buffer
				}
				begin := time.Now()
				answers, took, err := together(t, team, requests...)
				if passed := time.Since(begin); err != nil || took <= 0 || took > passed || len(answers) != n {
					t.Fatalf("%d together: %d answers in %v of %v, error %v", n, len(answers), took, passed, err)
				}
				for i, answer := range answers {
					if want := "Hello, " + requests[i] + "!"; string(answer) != want {
						t.Errorf("instance %d of %d answers %.40q, want %.40q", i, n, answer, want)
					}
				}
			}
		}
	})
}

// Guests that wait for each other answer only if all are called at the same
// time, also where they are more than processors.
func TestTogetherMeet(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		meet := modules{reactor: wasmtest.Write(t, wasmtest.Meet())}
		for _, n := range []int{2, 5} {
			team := start(t, prepare(t, r, mounted{meet, t.TempDir()}), n)
			var requests []string
			for i := range n {
				requests = append(requests, string([]byte{'a' + byte(i), 'a' + byte((i+1)%n)}))
			}
			answers, _, err := together(t, team, requests...)
			if err != nil {
				t.Fatal(err)
			}
			for i, answer := range answers {
				if string(answer) != requests[i] {
					t.Errorf("instance %d of %d answers %q, want %q", i, n, answer, requests[i])
				}
			}
		}
	})
}

// What cannot be called together is an error, and nothing has been called.
func TestTogetherThatCannotBe(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, both(t, wasmtest.Trap)) // an instance that is called fails
		team := start(t, img, 2)
		closed, err := img.Start(t.Context(), unmarked)
		if err := errors.Join(err, closed.Close()); err != nil {
			t.Fatal(err)
		}
		stranger := start(t, prepare(t, r, both(t, wasmtest.Trap)), 1)[0]
		for _, tt := range []struct {
			name   string
			others []runtime.Instance
			says   string
		}{
			{"too few requests", append(team[1:2:2], team[1]), "2 requests to 3 instances"},
			{"twice the same", team[:1], "2 of 2"},
			{"one that is closed", []runtime.Instance{closed}, "2 of 2"},
			{"one of another image", []runtime.Instance{stranger}, "2 of 2"},
			{"none", []runtime.Instance{nil}, "2 of 2"},
		} {
			answers, _, err := team[0].(runtime.Companion).CallTogether(t.Context(), tt.others, [][]byte{nil, nil})
			if err == nil || answers != nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "unreachable") {
				t.Errorf("%s: %d answers, error %v; want one that says %q", tt.name, len(answers), err, tt.says)
			}
		}
		if _, _, err := together(t, team, "", ""); err == nil || !strings.Contains(err.Error(), "instance 1 of 2") || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("guests that trap: error %v", err)
		}
	})
}

// A host that has called instances together for long has no more files and
// hardly more threads than after the first time.
func TestTogetherLeavesNothing(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		w := workload.Hello(workload.C)
		team := start(t, prepare(t, r, w), 5)
		host := must(procfs.NewProc(team[0].Scope().Own[0]))
		call := func() {
			if _, _, err := together(t, team, "1", "2", "3", "4", "5"); err != nil {
				t.Fatal(err)
			}
		}
		call()
		files, threads := must(host.FileDescriptorsLen()), must(host.Stat()).NumThreads
		for range 100 {
			call()
		}
		if f, n := must(host.FileDescriptorsLen()), must(host.Stat()).NumThreads; f > files || n > threads+50 {
			t.Errorf("the host has %d files and %d threads, and had %d and %d", f, n, files, threads)
		}
	})
}
