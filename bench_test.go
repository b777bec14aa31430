package wasmbench

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func hello(l workload.Language) workload.Workload { return workload.Hello(l) }

// BenchmarkColdStart is the article's cold start: from nothing of the guest in
// any process to its first checked answer. The image is prepared: compiled or
// unpacked. With cache=cold the host's page cache is dropped before each start.
// A host process of an embedded runtime lives on, without the module.
func BenchmarkColdStart(b *testing.B) {
	eachImage(b, "hello", hello, func(b *testing.B, img runtime.Image, w workload.Workload) {
		b.Run("cache=warm", func(b *testing.B) {
			benchmarkStarts(b, img, w, measure.StartOptions{First: true})
		})
		if measure.PageCacheDroppable() == nil {
			b.Run("cache=cold", func(b *testing.B) {
				benchmarkStarts(b, img, w, measure.StartOptions{First: true, Before: measure.DropPageCache})
			})
		}
	})
}

// BenchmarkWarmStart is the article's warm start: another start of an image
// that has been started before, with what it keeps in memory.
func BenchmarkWarmStart(b *testing.B) {
	eachImage(b, "hello", hello, func(b *testing.B, img runtime.Image, w workload.Workload) {
		benchmarkStarts(b, img, w, measure.StartOptions{})
	})
}

// benchmarkStarts measures b.N starts in one go rather than by b.Loop: starts
// of a microsecond are timed in batches where the engine is.
func benchmarkStarts(b *testing.B, img runtime.Image, w workload.Workload, opts measure.StartOptions) {
	opts.Limit = *flagOpLimit
	warmups := *flagWarmups
	if !opts.First {
		warmups = max(warmups, 1) // what comes second needs a first
	}
	if _, err := measure.Starts(b.Context(), img, w, warmups, measure.StartOptions{Limit: opts.Limit}); err != nil {
		b.Fatal(err)
	}
	opts.Budget = *flagBudget
	b.ResetTimer()
	starts, err := measure.Starts(b.Context(), img, w, b.N, opts)
	if err != nil {
		b.Fatal(err)
	}
	report(b, len(starts), measure.StartMetrics(starts))
}

// BenchmarkFibonacci is the article's computation: one call of a live instance
// computes fib(n) by double recursion.
func BenchmarkFibonacci(b *testing.B) {
	if _, err := workload.Fibonacci(workload.C, *flagFibonacciN); err != nil {
		b.Fatalf("-fibonacci.n: %v", err)
	}
	fibonacci := func(n int) func(workload.Language) workload.Workload {
		return func(l workload.Language) workload.Workload {
			w, _ := workload.Fibonacci(l, n)
			return w
		}
	}
	eachImage(b, "fibonacci", fibonacci(*flagFibonacciN), func(b *testing.B, img runtime.Image, w workload.Workload) {
		ctx, cancel := context.WithTimeoutCause(b.Context(), *flagOpLimit, &measure.LimitError{Limit: *flagOpLimit})
		inst, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := inst.Close(); err != nil {
				b.Errorf("closing the instance: %v", err)
			}
		}()
		predicted, err := predictFibonacci(b, inst, fibonacci)
		if err != nil {
			b.Fatal(err)
		}
		if predicted > *flagFibonacci {
			fmt.Printf("# left out %s/n=%d: a call would take about %v; -fibonacci.limit=%v lets it be measured, -fibonacci.n takes a smaller number\n",
				b.Name(), *flagFibonacciN, predicted.Round(time.Second), (2 * predicted).Round(time.Second))
			b.Skip("over -fibonacci.limit")
		}
		b.Run(fmt.Sprintf("n=%d", *flagFibonacciN), func(b *testing.B) {
			calls, err := measure.Calls(b.Context(), inst, w, b.N, measure.CallOptions{Budget: *flagBudget, Limit: *flagOpLimit})
			if err != nil {
				b.Fatal(err)
			}
			report(b, len(calls.Times), calls.Metrics())
		})
	})
}

// predictFibonacci tells how long a call will take, from one for a number that
// is smaller by 13 and so about 521 times faster to compute.
func predictFibonacci(b *testing.B, inst runtime.Instance, fibonacci func(int) func(workload.Language) workload.Workload) (time.Duration, error) {
	const smaller = 13
	if *flagFibonacciN < 2*smaller {
		return 0, nil
	}
	calls, err := measure.Calls(b.Context(), inst, fibonacci(*flagFibonacciN-smaller)(""), 1, measure.CallOptions{Limit: *flagOpLimit})
	if err != nil {
		return 0, err
	}
	return time.Duration(float64(calls.Times[0]) * math.Pow(math.Phi, smaller)), nil
}
