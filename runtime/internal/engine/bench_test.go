package engine_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// plain is what a host does for a request, without an engine.
const plain = `package main

import (
	"io"
	"net/http"
	"os"
	"strconv"
)

func main() {
	http.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
		answer := append(append([]byte("Hello, "), b...), '!')
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		w.Write(answer)
	})
	http.ListenAndServe(os.Args[1], nil)
}
`

// BenchmarkServe sets a request to a guest beside one to a handler in Go, over
// one connection. cpu-ns is what the server's process took of a processor for
// it.
func BenchmarkServe(b *testing.B) {
	for _, bb := range []struct {
		name string
		r    runtime.Runtime
		pool int
	}{
		{"plain", native.New(), 0},
		{"wazero/pool=0", wazero.Precompiled(), 0},
		{"wazero/pool=1", wazero.Precompiled(), 1},
		{"wasmtime/pool=0", wasmtime.Precompiled(), 0},
		{"wasmtime/pool=1", wasmtime.Precompiled(), 1},
		{"wasmtime-go/pool=0", wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}), 0},
		{"wasmtime-go/pool=1", wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}), 1},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmarkServe(b, bb.r, bb.pool) })
	}
}

func benchmarkServe(b *testing.B, r runtime.Runtime, pool int) {
	if _, err := r.Probe(b.Context()); errors.As(err, new(*runtime.Unavailable)) {
		b.Skip(err)
	}
	var w workload.Workload = workload.Hello(workload.C)
	if r.Name() == "native" {
		w = workload.Prebuilt{Label: "plain", Files: map[workload.Form]string{workload.Server: buildPlain(b)}}
	}
	img, err := r.(runtime.Server).PrepareServer(b.Context(), w, runtime.ServeOptions{Pool: pool})
	if err != nil {
		b.Fatal(err)
	}
	defer img.Close()
	svc, err := img.Serve(b.Context(), "", unmarked)
	if err != nil {
		b.Fatal(err)
	}
	defer svc.Close()
	c := client(b)
	ask := func() {
		if _, answer, err := post(c, svc, "you"); answer != "Hello, you!" {
			b.Fatal(answer, err)
		}
	}
	for range 100 {
		ask()
	}
	before := processorTime(b, svc)
	for b.Loop() {
		ask()
	}
	b.ReportMetric(float64(processorTime(b, svc)-before)/float64(b.N), "cpu-ns")
}

func buildPlain(b *testing.B) string {
	goTool, _, err := workload.CompilerGo(b.Context())
	if err != nil {
		b.Skip(err)
	}
	program := filepath.Join(b.TempDir(), "plain")
	if err := os.WriteFile(program+".go", []byte(plain), 0o644); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.CommandContext(b.Context(), goTool, "build", "-o", program, program+".go").CombinedOutput(); err != nil {
		b.Fatal(fmt.Errorf("%w: %s", err, out))
	}
	return program
}

// processorTime is what the service's process has had so far.
func processorTime(b *testing.B, svc runtime.Service) time.Duration {
	p, err := procfs.NewProc(svc.Scope().Own[0])
	if err != nil {
		b.Fatal(err)
	}
	stat, err := p.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// BenchmarkShortCalls sets a call that is timed in a batch beside one that has
// the clock to itself and one by CallTogether of one instance, and what it takes
// to ask the host for that beside what it takes to ask for a call.
func BenchmarkShortCalls(b *testing.B) {
	for _, r := range []runtime.Runtime{wazero.Embedded(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmedge.Embedded()} {
		b.Run(r.Name(), func(b *testing.B) {
			if _, err := r.Probe(b.Context()); err != nil {
				b.Skip(err)
			}
			path := b.TempDir() + "/echo.wasm"
			if err := os.WriteFile(path, wasmtest.Reactor(wasmtest.Echo), 0o600); err != nil {
				b.Fatal(err)
			}
			benchmarkShortCalls(b, r, modules{reactor: path})
		})
	}
}

func benchmarkShortCalls(b *testing.B, r runtime.Runtime, w workload.Workload) {
	img, err := r.Prepare(b.Context(), w)
	if err != nil {
		b.Fatal(err)
	}
	defer img.Close()
	inst, err := img.Start(b.Context(), unmarked)
	if err != nil {
		b.Fatal(err)
	}
	request := []byte("hello")
	anything := func([]byte) error { return nil }
	var calls, batches, alone, call, together []time.Duration
	const size = 1000
	for b.Loop() {
		c, err := inst.(runtime.CallTimer).TimeCalls(b.Context(), 256, request, anything)
		if err != nil {
			b.Fatal(err)
		}
		t, err := inst.(runtime.BatchTimer).TimeBatches(b.Context(), 1, size, request, anything)
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if _, err := inst.Call(b.Context(), request); err != nil {
			b.Fatal(err)
		}
		called := time.Now()
		_, took, err := inst.(runtime.Companion).CallTogether(b.Context(), nil, [][]byte{request})
		if err != nil {
			b.Fatal(err)
		}
		calls, batches = append(calls, c...), append(batches, t[0]/size)
		alone, call, together = append(alone, took), append(call, called.Sub(begin)), append(together, time.Since(called))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rundirtest.Median(calls), "call-ns")
	b.ReportMetric(rundirtest.Median(batches), "batch-ns")
	b.ReportMetric(rundirtest.Median(alone), "alone-ns")
	b.ReportMetric(rundirtest.Median(call), "ask-call-ns")
	b.ReportMetric(rundirtest.Median(together), "ask-together-ns")
}
