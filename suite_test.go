package wasmbench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/internal/scratch"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
)

// A candidate is a runtime of the suite and what Probe said of it.
type candidate struct {
	runtime.Runtime
	info runtime.Info
	err  error // why it is absent
}

// suite is what TestMain sets up for the benchmarks.
var suite struct {
	candidates  []*candidate
	required    []string
	order       *rand.Rand
	kept        map[string]io.Closer        // images that stay prepared
	lasting     map[string][]measure.Metric // what lasting benchmarks have measured, by their names
	benchtime   time.Duration               // -benchtime; 0 where that is a number of iterations
	kernelFloor int64                       // bytes by which the kernel's memory moves on its own; 0 until it has been read
	midLine     bool                        // testing has begun a line of the results: nothing may be printed
	comments    []string                    // what is to be printed after it
	scaling     []int                       // -scaling.instances
	fibonacci   []int                       // -fibonacci.n
	workers     []int                       // -parallel.workers
	knee        []int                       // -knee.instances
	pictures    []int                       // -image.sizes, in megabytes
	photos      map[int]func() (*photo.Photo, error)
	prices      costmodel.Catalogue    // -cost.prices
	people      map[bool]costmodel.TCO // -cost.people, of containers and of modules
	sold        map[string]*sales      // what was measured for the costs, in the order of the runs
	scratch     *scratch.Dir           // for files that guests work on, nil until there is one
}

// all returns every runtime, in the order of the tables' columns.
func all() []runtime.Runtime {
	return []runtime.Runtime{
		native.New(),
		wazero.Precompiled(), wazero.JIT(), wazero.Interpreter(), wazero.Embedded(),
		wasmtime.Precompiled(), wasmtime.JIT(), wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.API(*flagWasmtimeAPI)}),
		wasmedge.Precompiled(), wasmedge.Interpreter(), wasmedge.Embedded(),
		spin.New(spin.Options{}),
		runc.New(runc.Options{}), containerd.New(containerd.Options{Address: *flagContainerd}), docker.New(docker.Options{Host: *flagDocker, Private: *flagDockerOwn}),
		containerd.NewWasmtime(containerd.Options{Address: *flagContainerd}),
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := configure(); err != nil {
		fmt.Fprintln(os.Stderr, "wasmbench:", err)
		os.Exit(2)
	}
	// The alarm of -timeout is not set before m.Run.
	ctx, cancel := context.WithTimeoutCause(context.Background(), prepareLimit, fmt.Errorf("setting up took over %v: %w", prepareLimit, context.DeadlineExceeded))
	defer cancel()
	if err := pullBases(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "wasmbench:", err)
		os.Exit(2)
	}
	benchmarking := flag.Lookup("test.bench").Value.String() != ""
	if benchmarking {
		announce(ctx, os.Stdout)
	}
	before := readProcessors()
	code := m.Run()
	if benchmarking {
		conclude(os.Stdout, before, readProcessors())
	}
	if err := closeRuntimes(); err != nil {
		fmt.Fprintln(os.Stderr, "wasmbench: closing:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func closeRuntimes() (err error) {
	for _, img := range suite.kept {
		err = errors.Join(err, img.Close())
	}
	if suite.scratch != nil {
		err = errors.Join(err, suite.scratch.Close())
	}
	for _, c := range suite.candidates {
		if closer, ok := c.Runtime.(io.Closer); ok {
			err = errors.Join(err, closer.Close())
		}
	}
	return err
}

// progress tells a human what the run is at. It is a comment, for go test puts
// standard error among the results; it is not for a benchmark that has been
// run once, whose line it would break.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "# %s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

// report replaces testing's own ns/op, which has the harness's work in it, by
// what was measured, and its count by the size of the sample, which -budget may
// have made smaller.
func report(b *testing.B, n int, metrics []measure.Metric) {
	//lint:ignore SA3001 the line must not claim samples that were not taken
	b.N = n
	for _, m := range metrics {
		b.ReportMetric(m.Value, m.Unit)
	}
}
