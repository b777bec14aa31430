package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkFirstRequest sets a first request beside what it consists of: a cold
// start, and a request on a new connection to a server that has answered before.
// The three take turns; ratio is the first to the sum of the others' medians.
func BenchmarkFirstRequest(b *testing.B) {
	for _, l := range []workload.Language{workload.C, workload.Go} {
		for _, r := range runtimes() {
			b.Run("guest="+string(l)+"/runtime="+r.Name(), func(b *testing.B) {
				if _, err := r.Probe(b.Context()); errors.As(err, new(*runtime.Unavailable)) {
					b.Skip(err)
				}
				benchmarkFirstRequest(b, r, workload.Hello(l))
			})
		}
	}
}

func benchmarkFirstRequest(b *testing.B, r runtime.Runtime, w workload.Workload) {
	fail := func(err error) {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
	}
	img, err := r.Prepare(b.Context(), w)
	fail(err)
	defer img.Close()
	servers := [2]runtime.ServerImage{}
	for i := range servers {
		servers[i], err = r.(runtime.Server).PrepareServer(b.Context(), w, runtime.ServeOptions{})
		fail(err)
		defer servers[i].Close()
	}
	address, err := runtime.FreeAddress()
	fail(err)
	svc, err := servers[1].Serve(b.Context(), address, func(runtime.Phase, time.Time) {})
	fail(err)
	defer svc.Close()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err = ask(b, svc, w); err == nil {
			break
		}
		if time.Since(begin) > time.Minute {
			b.Fatal(svc.Explain(err))
		}
	}
	var cold, first, request []time.Duration
	for b.Loop() {
		starts, err := measure.Starts(b.Context(), img, w, 1, measure.StartOptions{First: true})
		fail(err)
		requests, err := measure.FirstRequests(b.Context(), servers[0], w, 1, measure.StartOptions{})
		fail(err)
		took, err := ask(b, svc, w)
		fail(err)
		cold, first, request = append(cold, starts[0].FirstAnswer()), append(first, requests[0].FirstAnswer()), append(request, took)
	}
	c, f, q := rundirtest.Median(cold), rundirtest.Median(first), rundirtest.Median(request)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(c, "cold-ns")
	b.ReportMetric(f, "first-ns")
	b.ReportMetric(q, "request-ns")
	b.ReportMetric(f/(c+q), "ratio")
}

// ask makes a request on a new connection and returns how long it took until
// its answer was checked.
func ask(b *testing.B, svc runtime.Service, w workload.Workload) (time.Duration, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	begin := time.Now()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+svc.Address()+"/", bytes.NewReader(w.Request()))
	if err != nil {
		return 0, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil {
		err = w.Check(body)
	}
	return time.Since(begin), err
}
