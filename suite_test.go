package wasmbench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
	"github.com/seed-0132abb7/wasmbench/workload"
)

// requireEnv names the runtimes, separated by commas, whose absence is a
// failure rather than a skip.
const requireEnv = "WASMBENCH_REQUIRE"

var (
	flagArticle     = flag.Bool("article", false, "use the article's parameters: 1000 iterations after 100 warm-ups")
	flagRuntimes    = flag.String("runtimes", "", "measure only these runtimes, a `list` separated by commas")
	flagGuests      = flag.String("guests", "", "measure only these guests, a `list` separated by commas")
	flagWarmups     = flag.Int("warmups", 1, "`starts` that are made before those that count")
	flagSeed        = flag.Uint64("seed", 0, "`seed` of the order in which runtimes are measured; 0 takes a random one")
	flagOpLimit     = flag.Duration("oplimit", time.Minute, "the longest that one start or call may take")
	flagBudget      = flag.Duration("budget", 5*time.Second, "begin no more starts or calls of one figure after so much time; 0 sets no bound")
	flagFibonacciN  = flag.Int("fibonacci.n", 40, "which Fibonacci number is computed")
	flagFibonacci   = flag.Duration("fibonacci.limit", 20*time.Second, "leave out a runtime whose call is predicted to take longer")
	flagWasmtimeAPI = flag.String("wasmtime.api", string(wasmtime.Pooled), "how wasmtime-embedded reaches the engine: pooled or go")
	flagContainerd  = flag.String("containerd.address", "", "`socket` of a containerd to use instead of a private one")
	flagDocker      = flag.String("docker.host", "", "`address` of a Docker daemon, as in DOCKER_HOST, which is the default; then the default socket, then a private daemon")
	flagDockerOwn   = flag.Bool("docker.private", false, "start a private Docker daemon even where one runs")
	flagServePool   = flag.Int("serve.pool", 0, "how many `instances` an engine keeps to answer requests; 0 takes a new one for each")
	flagNodeImage   = flag.String("node.image", "", "`reference` with a digest of the image to run Node.js guests on, instead of one built here")
	flagPythonImage = flag.String("python.image", "", "`reference` with a digest of the image to run Python guests on, instead of one built here")
)

// defaultBenchtime keeps a run of everything under ten minutes on two cores;
// testing's own is twice as long.
const defaultBenchtime = "500ms"

// A candidate is a runtime of the suite and what Probe said of it.
type candidate struct {
	runtime.Runtime
	info runtime.Info
	err  error // why it is absent
}

// suite is what TestMain sets up for the benchmarks.
var suite struct {
	candidates []*candidate
	required   []string
	order      *rand.Rand
	kept       map[string]io.Closer // images that stay prepared
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

// configure checks the flags and decides which runtimes there are.
func configure() error {
	if *flagArticle {
		defaults := map[string]string{"test.benchtime": "1000x", "warmups": "100", "budget": "0"}
		flag.Visit(func(f *flag.Flag) { delete(defaults, f.Name) })
		for name, value := range defaults {
			if err := flag.Set(name, value); err != nil {
				return err
			}
		}
	}
	benchtime := flag.Lookup("test.benchtime")
	given := *flagArticle
	flag.Visit(func(f *flag.Flag) { given = given || f == benchtime })
	if !given {
		if err := benchtime.Value.Set(defaultBenchtime); err != nil {
			return err
		}
	}
	if *flagWarmups < 0 {
		return fmt.Errorf("-warmups=%d: give 0 or more", *flagWarmups)
	}
	if *flagServePool < 0 {
		return fmt.Errorf("-serve.pool=%d: give 0 or more", *flagServePool)
	}
	if *flagSeed == 0 {
		*flagSeed = rand.Uint64()
	}
	// A benchmark that ends before its benchtime is made to run again and again.
	if d, err := time.ParseDuration(benchtime.Value.String()); err == nil && *flagBudget > 0 {
		*flagBudget = max(*flagBudget, d)
	}
	suite.kept = map[string]io.Closer{}
	suite.order = rand.New(rand.NewPCG(*flagSeed, 0))
	if api := wasmtime.API(*flagWasmtimeAPI); api != wasmtime.Pooled && api != wasmtime.Go {
		return fmt.Errorf("-wasmtime.api=%s: give %s or %s", api, wasmtime.Pooled, wasmtime.Go)
	}
	names := map[string]bool{}
	wanted := list(*flagRuntimes)
	for _, r := range all() {
		names[r.Name()] = true
		if len(wanted) == 0 || slices.Contains(wanted, r.Name()) {
			suite.candidates = append(suite.candidates, &candidate{Runtime: r})
		}
	}
	suite.required = list(os.Getenv(requireEnv))
	for source, given := range map[string][]string{"-runtimes": wanted, requireEnv: suite.required} {
		for _, name := range given {
			if !names[name] {
				return fmt.Errorf("%s: there is no runtime %q; there are %s", source, name, strings.Join(runtimeNames(), ", "))
			}
		}
	}
	for _, g := range list(*flagGuests) {
		if !slices.Contains(workload.Languages(), workload.Language(g)) {
			return fmt.Errorf("-guests: there is no guest %q; there are %v", g, workload.Languages())
		}
	}
	return nil
}

func runtimeNames() (names []string) {
	for _, r := range all() {
		names = append(names, r.Name())
	}
	return names
}

// list splits at commas and drops what is empty.
func list(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(e string) bool { return e == "" })
}

func closeRuntimes() (err error) {
	for _, img := range suite.kept {
		err = errors.Join(err, img.Close())
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
