package wasmbench

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func hello(l workload.Language) (workload.Workload, error) { return onBase(workload.Hello(l)), nil }

// startTable has the cells of starts. Node.js without its compiler is the
// article's for computing and not for starting.
var startTable = table{workload: "hello", guest: hello, guests: []workload.Language{workload.C, workload.Go, workload.Node}}

// principal are the runtimes without those that differ from one of them only in
// when or whether a module is compiled, which shows in a cold start and in
// computing.
var principal = []string{"native", "wazero", "wazero-embedded", "wasmtime", "wasmtime-embedded", "wasmedge", "wasmedge-embedded", "spin", "runc", "containerd", "docker", "containerd-wasmtime"}

// startedCold are the guests whose files are read from the disk by default too: the
// smallest, and those of the article's containers.
var startedCold = []workload.Language{workload.C, workload.Node}

// BenchmarkColdStart is the article's cold start: from nothing of the guest in
// any process to its first checked answer. The image is prepared: compiled or
// unpacked. With cache=cold the host's page cache is dropped before each start.
// A host process of an embedded runtime lives on, without the module.
func BenchmarkColdStart(b *testing.B) {
	eachImage(b, startTable, func(b *testing.B, c cell[runtime.Image]) {
		b.Run("cache=warm", func(b *testing.B) {
			benchmarkStarts(b, c, measure.StartOptions{First: true})
		})
		if !wanted(*flagGuests, string(c.language), slices.Contains(startedCold, c.language)) {
			once("# left out BenchmarkColdStart/guest=%s/cache=cold by default: -guests=%s asks for it\n", c.language, c.language)
			return
		}
		if measure.PageCacheDroppable() == nil {
			b.Run("cache=cold", func(b *testing.B) {
				benchmarkStarts(b, c, measure.StartOptions{First: true, Before: measure.DropPageCache})
			})
		}
	})
}

// BenchmarkWarmStart is the article's warm start: the restart of a container
// that exists, or another start of an image that has been started before, with
// what it keeps in memory. What can be paused is paused and resumed too.
func BenchmarkWarmStart(b *testing.B) {
	t := startTable
	t.runtimes = principal
	eachImage(b, t, func(b *testing.B, c cell[runtime.Image]) {
		inst := start(b, c.image)
		_, restarts := inst.(runtime.Restarter)
		if !restarts {
			closeInstance(b, inst)
			benchmarkStarts(b, c, measure.StartOptions{})
			return
		}
		defer closeInstance(b, inst)
		benchmarkRestarts(b, inst, c.workload)
	})
}

// start starts an instance outside every clock.
func start(b *testing.B, img runtime.Image) runtime.Instance {
	b.Helper()
	ctx, cancel := context.WithTimeoutCause(b.Context(), *flagOpLimit, &measure.LimitError{Limit: *flagOpLimit})
	defer cancel()
	inst, err := img.Start(ctx, func(runtime.Phase, time.Time) {})
	if err != nil {
		b.Fatal(err)
	}
	return inst
}

func closeInstance(b *testing.B, inst io.Closer) {
	b.Helper()
	if err := inst.Close(); err != nil {
		b.Errorf("closing what was started: %v", err)
	}
}

// benchmarkRestarts measures b.N restarts of an instance and, where it can be
// paused, as many pauses.
func benchmarkRestarts(b *testing.B, inst runtime.Instance, w workload.Workload) {
	opts := measure.StartOptions{Limit: *flagOpLimit}
	if _, err := measure.Restarts(b.Context(), inst, w, *flagWarmups, opts); err != nil {
		b.Fatal(err)
	}
	opts.Budget = *flagBudget
	b.ResetTimer()
	restarts, err := measure.Restarts(b.Context(), inst, w, b.N, opts)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	metrics := measure.StartMetrics(restarts)
	if _, ok := inst.(runtime.Pauser); ok {
		pauses, err := measure.Pauses(b.Context(), inst, w, len(restarts), opts)
		if err != nil {
			b.Fatal(err)
		}
		metrics = append(metrics, pauses.Metrics()...)
	}
	report(b, len(restarts), metrics)
}

// BenchmarkFirstRequest is the article's first request: from nothing of the
// guest in any process to the first checked response with status 200, on a
// connection that is tried until it is taken. The image is prepared and the
// page cache warm. A host process of an embedded runtime lives on, without the
// module.
func BenchmarkFirstRequest(b *testing.B) {
	t := startTable
	t.runtimes = principal
	eachServer(b, t, func(b *testing.B, c cell[runtime.ServerImage]) {
		opts := measure.StartOptions{Limit: *flagOpLimit}
		if _, err := measure.FirstRequests(b.Context(), c.image, c.workload, *flagWarmups, opts); err != nil {
			b.Fatal(err)
		}
		opts.Budget = *flagBudget
		b.ResetTimer()
		requests, err := measure.FirstRequests(b.Context(), c.image, c.workload, b.N, opts)
		if err != nil {
			b.Fatal(err)
		}
		report(b, len(requests), measure.StartMetrics(requests))
	})
}

// benchmarkStarts measures b.N starts in one go rather than by b.Loop: starts
// of a microsecond are timed in batches where the engine is.
func benchmarkStarts(b *testing.B, c cell[runtime.Image], opts measure.StartOptions) {
	opts.Limit = *flagOpLimit
	warmups := *flagWarmups
	if !opts.First {
		warmups = max(warmups, 1) // what comes second needs a first
	}
	if _, err := measure.Starts(b.Context(), c.image, c.workload, warmups, measure.StartOptions{Limit: opts.Limit}); err != nil {
		b.Fatal(err)
	}
	opts.Budget = *flagBudget
	b.ResetTimer()
	starts, err := measure.Starts(b.Context(), c.image, c.workload, b.N, opts)
	if err != nil {
		b.Fatal(err)
	}
	report(b, len(starts), measure.StartMetrics(starts))
}
