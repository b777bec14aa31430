package wasmbench

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0132abb7/wasmbench/costmodel"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/photo"
)

// requireEnv names the runtimes, separated by commas, whose absence is a
// failure rather than a skip.
const requireEnv = "WASMBENCH_REQUIRE"

var (
	flagArticle      = flag.Bool("article", false, "use the article's parameters: 1000 iterations after 100 warm-ups")
	flagRuntimes     = flag.String("runtimes", "", "measure only these runtimes, a `list` separated by commas, or all, also where a table has fewer by default")
	flagGuests       = flag.String("guests", "", "measure only these guests, a `list` separated by commas, or all, also where a table has fewer by default")
	flagWarmups      = flag.Int("warmups", 1, "`starts` that are made before those that count")
	flagSeed         = flag.Uint64("seed", 0, "`seed` of the order in which runtimes are measured; 0 takes a random one")
	flagOpLimit      = flag.Duration("oplimit", time.Minute, "the longest that one start or call may take")
	flagBudget       = flag.Duration("budget", 5*time.Second, "begin no more starts or calls of one figure after so much time; 0 sets no bound")
	flagFibonacciN   = flag.String("fibonacci.n", "30,40", "which Fibonacci numbers are computed, a `list` separated by commas")
	flagFibonacci    = flag.Duration("fibonacci.limit", 2*time.Second, "leave out what is predicted to take longer a call")
	flagElements     = flag.Int("parallel.elements", 10_000_000, "how many `numbers` BenchmarkParallelSum has")
	flagWorkers      = flag.String("parallel.workers", "", "by how many workers they are computed, a `list` separated by commas; 1, 2, 4 and so on to the number of processors by default")
	flagCalls        = flag.Int("isolation.calls", 1000, "how many `calls` of an instance in the process that calls it are one sample")
	flagCrossings    = flag.Int("isolation.crossings", 100_000, "how many `calls` out of the guest are")
	flagRounds       = flag.Int("isolation.rounds", 5_000_000, "how many `rounds` of a loop are")
	flagLoadRounds   = flag.Int("load.rounds", 250_000, "for how many `rounds` the loads of BenchmarkCPUEfficiency compute between two blocks")
	flagEfficiency   = flag.Duration("efficiency.time", 500*time.Millisecond, "how long each load of BenchmarkCPUEfficiency runs")
	flagIdle         = flag.Int("idle.instances", 10, "how many `instances` idle in BenchmarkCPUEfficiency")
	flagIdleWindow   = flag.Duration("idle.window", 2*time.Second, "how long they do")
	flagFileDir      = flag.String("file.dir", os.TempDir(), "the `directory` of the host below which guests read and write files")
	flagFileSize     = flag.Int64("file.size", 100, "how large a file is, in `MiB`")
	flagFileOps      = flag.Int("file.ops", 1000, "how many random `operations` one pass has; 441 and more have a p99")
	flagWasmtimeAPI  = flag.String("wasmtime.api", string(wasmtime.Pooled), "how wasmtime-embedded reaches the engine: pooled or go")
	flagContainerd   = flag.String("containerd.address", "", "`socket` of a containerd to use instead of a private one")
	flagDocker       = flag.String("docker.host", "", "`address` of a Docker daemon, as in DOCKER_HOST, which is the default; then the default socket, then a private daemon")
	flagDockerOwn    = flag.Bool("docker.private", false, "start a private Docker daemon even where one runs")
	flagServePool    = flag.Int("serve.pool", 0, "how many `instances` an engine keeps to answer requests; 0 takes a new one for each")
	flagSettle       = flag.Duration("settle", time.Second, "memory is read once it has stayed within one percent for so long")
	flagScaling      = flag.String("scaling.instances", "1,10,100", "how many instances memory is read with, a `list` separated by commas")
	flagDensity      = flag.Int("density.instances", 60, "hold up to so many `instances` of a process or an embedded engine")
	flagContainers   = flag.Int("density.containers", 12, "hold up to so many `containers`")
	flagFreeMemory   = flag.Int64("limit.memory", 0, "hold no more instances where less than so many `MiB` of memory would stay available; 0 is a sixteenth of memory, at least 512 MiB")
	flagHoldTime     = flag.Duration("limit.time", 2*time.Minute, "start no more instances of one figure after so much time; 0 sets no bound")
	flagHTTPTime     = flag.Duration("http.time", 400*time.Millisecond, "how long a service is under load")
	flagHTTPWarmup   = flag.Duration("http.warmup", 150*time.Millisecond, "how long it is before that counts")
	flagConnections  = flag.Int("http.connections", 100, "how many `users` ask a service, each over a connection")
	flagPipelining   = flag.Int("http.pipelining", 1, "how many `requests` of a user are under way")
	flagHTTPRate     = flag.Float64("http.rate", 1000, "how many `requests` a second users make in an open loop, all together")
	flagServe        = flag.String("http.serve", "", "serve modules only so, a `list` of pool and fresh, or all, also where a table has fewer by default")
	flagHTTPPool     = flag.Int("http.pool", 0, "how many `instances` of a module are kept with serve=pool; 0 is 2 for each processor")
	flagNeedRate     = flag.Float64("resources.rate", 1000, "how many `requests` a second BenchmarkResources is about")
	flagNeedP99      = flag.Duration("resources.p99", 100*time.Millisecond, "the latency that they may have at p99")
	flagNeedTime     = flag.Duration("resources.time", time.Second, "how long that is measured with a number of instances")
	flagNeedMost     = flag.Int("resources.instances", 8, "how many `instances` are tried at most")
	flagKnee         = flag.String("knee.instances", "1,2,4,8", "how many services BenchmarkScaling has, a `list` separated by commas")
	flagKneeUsers    = flag.Int("knee.users", 1, "how many `users` each of them has")
	flagKneeWindows  = flag.Int("knee.windows", 2, "how many `times` each number of them is measured")
	flagKneeTime     = flag.Duration("knee.time", 250*time.Millisecond, "for how long")
	flagImageSizes   = flag.String("image.sizes", "", "how large the pictures are that images guests work on, in `megabytes`, a list separated by commas; the article's are 1,5,10, and the first is the default")
	flagImageSIMD    = flag.String("image.simd", "", "measure only image guests built without SIMD or with it, a `list` of off and on")
	flagCostRequests = flag.Float64("cost.requests", 10e6, "how many `requests` a day the costs are about")
	flagCostPeak     = flag.Float64("cost.peak", 1, "how many times the mean of the day its busiest moment is")
	flagCostHeadroom = flag.Float64("cost.headroom", 0, "the `share` of instances and hosts that is kept free")
	flagCostSpeed    = flag.Float64("cost.speed", 1, "how much of a processor of this machine a vCPU of a host does")
	flagCostHours    = flag.Float64("cost.hours", float64(costmodel.ArticleMonth), "how many `hours` a month has, the article's or 730")
	flagCostWindows  = flag.Int("cost.windows", 3, "how many `times` a service is measured for the costs")
	flagCostTime     = flag.Duration("cost.time", 250*time.Millisecond, "for how long, at least")
	flagCostBase     = flag.Int64("cost.base", 0, "what a host's own system takes of its memory, in `MiB`, beside the daemons that are measured")
	flagCostPrices   = flag.String("cost.prices", "", "`file` of host types and their prices, as costmodel.ReadCatalogue has them; the article's two by default")
	flagCostPeople   = flag.String("cost.people", "", "what operations, development and monitoring cost in a year, a `list` of three numbers in USD for both sides, or of six, those of containers and then of modules; the article's by default")
	flagNodeImage    = flag.String("node.image", "", "`reference` with a digest of the image to run Node.js guests on, instead of one built here")
	flagPythonImage  = flag.String("python.image", "", "`reference` with a digest of the image to run Python guests on, instead of one built here")
)

// defaultBenchtime keeps a run of everything under ten minutes on two cores;
// testing's own is five times as long.
const defaultBenchtime = "200ms"

// configure checks the flags and decides which runtimes there are.
func configure() error {
	if *flagArticle {
		defaults := map[string]string{
			"test.benchtime": "1000x", "warmups": "100", "budget": "0",
			"scaling.instances": "1,10,100,1000,10000", "density.instances": "50000", "density.containers": "5000", "limit.time": "0", "settle": "2s", "idle.window": "3s", "image.sizes": "1,5,10",
			"http.connections": "100", "http.pipelining": "10", "http.time": "30s",
		}
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
	if d, err := time.ParseDuration(benchtime.Value.String()); err == nil {
		suite.benchtime = d
		if *flagBudget > 0 {
			*flagBudget = max(*flagBudget, d)
		}
	}
	suite.kept, suite.lasting = map[string]io.Closer{}, map[string][]measure.Metric{}
	if err := errors.Join(configureHolding(), configureComputing(), configureServing(), configurePictures(), configureCosts()); err != nil {
		return err
	}
	suite.order = rand.New(rand.NewPCG(*flagSeed, 0))
	if api := wasmtime.API(*flagWasmtimeAPI); api != wasmtime.Pooled && api != wasmtime.Go {
		return fmt.Errorf("-wasmtime.api=%s: give %s or %s", api, wasmtime.Pooled, wasmtime.Go)
	}
	names := map[string]bool{}
	for _, r := range all() {
		names[r.Name()] = true
		if wanted(*flagRuntimes, r.Name(), true) {
			suite.candidates = append(suite.candidates, &candidate{Runtime: r})
		}
	}
	suite.required = list(os.Getenv(requireEnv))
	for source, given := range map[string][]string{"-runtimes": list(*flagRuntimes), requireEnv: suite.required} {
		for _, name := range given {
			if !names[name] && (source != "-runtimes" || name != allCells) {
				return fmt.Errorf("%s: there is no runtime %q; there are %s", source, name, strings.Join(runtimeNames(), ", "))
			}
		}
	}
	for _, g := range list(*flagGuests) {
		if g != allCells && !slices.Contains(workload.Languages(), workload.Language(g)) {
			return fmt.Errorf("-guests: there is no guest %q; there are %v", g, workload.Languages())
		}
	}
	return nil
}

// configureHolding checks how many instances are to be held and how.
func configureHolding() error {
	var err error
	if suite.scaling, err = numbers("-scaling.instances", *flagScaling, 1, math.MaxInt); err != nil {
		return err
	}
	for name, n := range map[string]int{"-density.instances": *flagDensity, "-density.containers": *flagContainers} {
		if n < 1 {
			return fmt.Errorf("%s=%d: give 1 or more", name, n)
		}
	}
	if *flagSettle <= 0 {
		return fmt.Errorf("-settle=%v: give a time above 0", *flagSettle)
	}
	if *flagFreeMemory < 0 || *flagHoldTime < 0 {
		return fmt.Errorf("-limit.memory=%d -limit.time=%v: give 0 or more", *flagFreeMemory, *flagHoldTime)
	}
	return nil
}

// configureComputing checks what is computed, by how many and on which files.
func configureComputing() (err error) {
	if suite.fibonacci, err = numbers("-fibonacci.n", *flagFibonacciN, 0, workload.MaxFibonacci); err != nil {
		return err
	}
	if *flagWorkers == "" {
		for n := 1; n < goruntime.NumCPU(); n *= 2 {
			suite.workers = append(suite.workers, n)
		}
		suite.workers = append(suite.workers, goruntime.NumCPU())
	} else if suite.workers, err = numbers("-parallel.workers", *flagWorkers, 1, workload.MaxWorkers); err != nil {
		return err
	}
	if _, err := workload.ParallelSum(workload.C, workload.PartOptions{Elements: *flagElements, To: *flagElements, Workers: slices.Max(suite.workers)}); err != nil {
		return fmt.Errorf("-parallel.elements=%d: %w", *flagElements, err)
	}
	if *flagEfficiency <= 0 || *flagIdleWindow <= 0 || *flagIdle < 1 {
		return fmt.Errorf("-efficiency.time=%v -idle.window=%v -idle.instances=%d: give values above 0", *flagEfficiency, *flagIdleWindow, *flagIdle)
	}
	for name, n := range map[string]int{"-isolation.calls": *flagCalls, "-isolation.crossings": *flagCrossings, "-isolation.rounds": *flagRounds, "-load.rounds": *flagLoadRounds} {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("%s=%d: give a number from 1 to %d", name, n, math.MaxInt32)
		}
	}
	return configureFiles()
}

// configureServing checks how services are asked.
func configureServing() error {
	if *flagHTTPTime <= 0 || *flagHTTPWarmup < 0 {
		return fmt.Errorf("-http.time=%v -http.warmup=%v: give a time above 0, and one of 0 or more", *flagHTTPTime, *flagHTTPWarmup)
	}
	if *flagConnections < 1 || *flagPipelining < 1 || *flagHTTPPool < 0 {
		return fmt.Errorf("-http.connections=%d -http.pipelining=%d -http.pool=%d: give 1 or more, of a pool 0 or more", *flagConnections, *flagPipelining, *flagHTTPPool)
	}
	for _, way := range list(*flagServe) {
		if !slices.Contains([]string{"pool", "fresh", allCells}, way) {
			return fmt.Errorf("-http.serve=%s: give pool, fresh or %s", *flagServe, allCells)
		}
	}
	if !(*flagHTTPRate > 0 && *flagHTTPRate <= 1e6) {
		return fmt.Errorf("-http.rate=%v: give a number above 0, up to a million", *flagHTTPRate)
	}
	if *flagNeedRate <= 0 || *flagNeedRate > 1e6 || *flagNeedP99 <= 0 || *flagNeedTime <= 0 || *flagNeedMost < 1 {
		return fmt.Errorf("-resources.rate=%v -resources.p99=%v -resources.time=%v -resources.instances=%d: give values above 0, a rate up to a million", *flagNeedRate, *flagNeedP99, *flagNeedTime, *flagNeedMost)
	}
	if *flagKneeUsers < 1 || *flagKneeWindows < 1 || *flagKneeTime <= 0 {
		return fmt.Errorf("-knee.users=%d -knee.windows=%d -knee.time=%v: give values above 0", *flagKneeUsers, *flagKneeWindows, *flagKneeTime)
	}
	var err error
	suite.knee, err = numbers("-knee.instances", *flagKnee, 1, 1<<10)
	return err
}

// configurePictures checks what pictures there are and which builds of their guests.
func configurePictures() (err error) {
	suite.photos = map[int]func() (*photo.Photo, error){}
	for _, simd := range list(*flagImageSIMD) {
		if !slices.Contains([]string{"off", "on", allCells}, simd) {
			return fmt.Errorf("-image.simd=%s: give off, on or %s", *flagImageSIMD, allCells)
		}
	}
	suite.pictures, err = numbers("-image.sizes", cmp.Or(*flagImageSizes, "1"), 1, photo.MaxBytes/megabyte)
	return err
}

// poolSize is how many instances of a module serve with serve=pool.
func poolSize() int {
	if *flagHTTPPool > 0 {
		return *flagHTTPPool
	}
	return 2 * goruntime.NumCPU()
}

// configureFiles checks the files that guests work on.
func configureFiles() error {
	const most = workload.MaxFileSize >> 20
	if *flagFileSize < 1 || *flagFileSize > most {
		return fmt.Errorf("-file.size=%d: give a number from 1 to %d", *flagFileSize, most)
	}
	if *flagFileOps < 1 || *flagFileOps > workload.MaxFileOps {
		return fmt.Errorf("-file.ops=%d: give a number from 1 to %d", *flagFileOps, workload.MaxFileOps)
	}
	if info, err := os.Stat(*flagFileDir); err != nil {
		return fmt.Errorf("-file.dir: %w", err)
	} else if !info.IsDir() {
		return fmt.Errorf("-file.dir=%s: it is no directory", *flagFileDir)
	}
	return nil
}

// numbers reads a list of them from a flag, in order and each once.
func numbers(name, value string, least, most int) (ns []int, err error) {
	for _, s := range list(value) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%s=%s: give numbers from %d to %d, separated by commas", name, value, least, most)
		}
		ns = append(ns, n)
	}
	if len(ns) == 0 {
		return nil, fmt.Errorf("%s=%s: give a number", name, value)
	}
	slices.Sort(ns)
	return slices.Compact(ns), nil
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
