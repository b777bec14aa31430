package native_test

import (
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkCrowd is for -benchtime 1000x: each sub-benchmark holds b.N processes.
func BenchmarkCrowd(b *testing.B) {
	w := workload.Hello(workload.C)
	img, err := native.New().Prepare(b.Context(), w)
	rundirtest.Require(b, "native", err)
	rundirtest.Crowds(b, img, w)
	if err := img.Close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkFirstAnswer reports the medians of a start up to its first answer and
// of the close.
func BenchmarkFirstAnswer(b *testing.B) {
	w := workload.Hello(workload.C)
	img, err := native.New().Prepare(b.Context(), w)
	rundirtest.Require(b, "native", err)
	var first, stop []time.Duration
	for b.Loop() {
		line, err := runtime.TimeStart(b.Context(), img, w.Request(), w.Check)
		if err != nil {
			b.Fatal(err)
		}
		first = append(first, line.FirstAnswer())
		stop = append(stop, line.Durations[runtime.Stop])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rundirtest.Median(first), "first-ns")
	b.ReportMetric(rundirtest.Median(stop), "stop-ns")
	if err := img.Close(); err != nil {
		b.Error(err)
	}
}
