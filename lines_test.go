package wasmbench

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// rerun runs this test binary as the suite, with the flags given.
func rerun(t *testing.T, flags ...string) (stdout, stderr []byte, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append([]string{"-test.run=^$"}, flags...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}

// rerunAsGoTest is rerun with standard error among the results, where go test
// puts it.
func rerunAsGoTest(t *testing.T, flags ...string) ([]byte, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), self, append([]string{"-test.run=^$"}, flags...)...).CombinedOutput()
}

// What the suite prints is read back as benchstat reads it: every line counts,
// the keys and units are those of the contract, nothing else is configuration.
func TestLines(t *testing.T) {
	const guest = string(workload.Go)                     // it serves everywhere
	const count = 2                                       // from the second on testing prints the name before it calls
	const twice = "WarmStart|^BenchmarkMemory$|Isolation" // one that asks testing for more and more, one that lasts, one that has several lines
	const serving = "HTTP|Ecommerce|Resources|^BenchmarkScaling|ImageProcessing"
	flags := []string{"-test.benchtime=6x", "-budget=0", "-runtimes=native,wazero-embedded", "-guests=" + guest, "-fibonacci.n=20",
		"-settle=20ms", "-scaling.instances=1,3,5", "-density.instances=8", "-parallel.elements=1000", "-parallel.workers=1,2",
		"-isolation.rounds=1000", "-isolation.crossings=100", "-load.rounds=1000", "-efficiency.time=20ms", "-idle.instances=2", "-idle.window=50ms", "-file.size=1", "-file.ops=16",
		"-http.time=100ms", "-http.warmup=10ms", "-http.connections=4", "-http.rate=200", "-http.serve=pool", "-resources.rate=500", "-resources.p99=10s", "-knee.instances=1,2,3", "-knee.time=30ms", "-image.sizes=1"}
	out, err := rerunAsGoTest(t, append(flags, "-test.bench=.", "-test.skip="+serving+"|ImageSize|MonthlyCost|TCO|"+twice)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again, err := rerunAsGoTest(t, append(flags, "-test.bench="+twice, "-test.count="+strconv.Itoa(count))...)
	if err != nil {
		t.Fatalf("%v\n%s", err, again)
	}
	out = append(out, again...)
	once, err := rerunAsGoTest(t, append(flags, "-test.bench="+serving, "-test.skip=Ecommerce/./././endpoint=(list|get|addcart|viewcart|checkout)|ImageProcessing/./././op=(resize|blur|compress)")...) // whose audits and judges take long
	if err != nil {
		t.Fatalf("%v\n%s", err, once)
	}
	out = append(out, once...)
	shrunk, err := rerunAsGoTest(t, "-test.benchtime=6x", "-test.bench=ImageSize", "-runtimes=wasmtime,wasmtime-jit", "-guests=c", "-settle=20ms")
	if err != nil {
		t.Fatalf("%v\n%s", err, shrunk)
	}
	out = append(out, shrunk...)
	costs, err := rerunAsGoTest(t, append(flags, "-test.bench=MonthlyCost/./././service=api|TCO", "-runtimes=native", "-cost.windows=2", "-cost.people=1,2,3")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, costs)
	}
	out = append(out, costs...)
	reader := benchfmt.NewReader(bytes.NewReader(out), "out.txt")
	seen := map[string]int{}
	named := map[string]bool{}
	for reader.Scan() {
		switch rec := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Errorf("%v", rec)
		case *benchfmt.UnitMetadata:
			named[rec.OrigUnit] = true
		case *benchfmt.Result:
			checkLine(t, rec.Clone(), named)
			seen[string(rec.Name.Full())]++
		}
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	checkTables(t, out)
	caches := []string{"/cache=warm"}
	if measure.PageCacheDroppable() == nil {
		caches = append(caches, "/cache=cold")
	}
	var want []string
	for _, r := range []string{"native", "wazero-embedded"} {
		for _, c := range caches {
			want = append(want, "ColdStart/workload=hello/guest="+guest+"/runtime="+r+c)
		}
		want = append(want, "WarmStart/workload=hello/guest="+guest+"/runtime="+r, "FirstRequest/workload=hello/guest="+guest+"/runtime="+r, "Fibonacci/workload=fibonacci/guest="+guest+"/runtime="+r+"/n=20",
			"Memory/workload=hello/guest="+guest+"/runtime="+r)
		for _, rest := range []string{
			"ParallelSum/workload=sum%s/workers=1", "ParallelSum/workload=sum%s/workers=2", "ParallelSum/workload=hash%s/workers=1", "ParallelSum/workload=hash%s/workers=2",
			"CPUEfficiency/workload=load%s/load=cpu", "CPUEfficiency/workload=load%s/load=io", "CPUEfficiency/workload=load%s/load=mixed", "CPUEfficiency/workload=load%s/load=idle",
			"Isolation/workload=boundary%s/boundary=call", "Isolation/workload=boundary%s/boundary=syscall", "Isolation/workload=boundary%s/boundary=loop/guard=off",
			"FileIO/workload=fileio%s/fs=host/op=seqwrite", "FileIO/workload=fileio%s/fs=host/op=randwrite",
		} {
			want = append(want, fmt.Sprintf(rest, "/guest="+guest+"/runtime="+r))
		}
		for _, c := range caches {
			want = append(want, "FileIO/workload=fileio/guest="+guest+"/runtime="+r+"/fs=host/op=seqread"+c, "FileIO/workload=fileio/guest="+guest+"/runtime="+r+"/fs=host/op=randread"+c)
		}
		serve := map[string]string{"native": "process", "wazero-embedded": "pool"}[r]
		for _, rest := range []string{
			"HTTP/workload=hello%s/app=hello%s/loop=closed", "HTTP/workload=hello%s/app=hello%s/loop=open", "HTTP/workload=json%s/app=json%s/loop=closed", "HTTP/workload=db%s/app=db%s/loop=closed",
			"HTTP/workload=static%s/app=static/size=1KB%s/loop=closed", "HTTP/workload=static%s/app=static/size=64KB%s/loop=closed", "HTTP/workload=static%s/app=static/size=1MB%s/loop=closed",
			"Ecommerce/workload=shop%s/endpoint=mix%s", "Resources/workload=shop%s%s",
			"Scaling/workload=json%s%s/instances=1", "Scaling/workload=json%s%s/instances=2", "Scaling/workload=json%s%s/instances=3",
		} {
			want = append(want, fmt.Sprintf(rest, "/guest="+guest+"/runtime="+r, "/serve="+serve+"/net=host"))
		}
		want = append(want, "ImageProcessing/workload=image/guest="+guest+"/runtime="+r+"/op=rotate/size=1MB/simd=off")
		if r != "native" {
			want = append(want, "Isolation/workload=boundary/guest="+guest+"/runtime="+r+"/boundary=loop/guard=on")
		}
		for _, n := range []string{"1", "3", "5"} {
			want = append(want, "MemoryScaling/workload=hello/guest="+guest+"/runtime="+r+"/instances="+n)
		}
		for _, app := range workload.Apps() {
			want = append(want, "Density/workload="+app+"/guest="+guest+"/runtime="+r+"/app="+app)
		}
	}
	want = append(want, "MonthlyCost/workload=services/guest="+guest+"/runtime=native/service=api/serve=process/net=host", "TCO/workload=services/guest="+guest+"/runtime=native/serve=process/net=host")
	for _, step := range []string{"wasmtime-jit/step=base", "wasmtime-jit/step=size", "wasmtime-jit/step=strip", "wasmtime/step=aot"} {
		want = append(want, "ImageSize/workload=hello/guest=c/runtime="+step)
	}
	for _, name := range want {
		if !slices.ContainsFunc(keys(seen), func(s string) bool {
			return (s == name || strings.HasPrefix(s, name+"-")) && (seen[s] == count || seen[s] == 1 && !ranTwice.MatchString(s))
		}) {
			t.Errorf("no %d lines %s", count, name)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d benchmarks, want %d: %v", len(seen), len(want), keys(seen))
	}
}

// ranTwice are the benchmarks that TestLines runs twice.
var ranTwice = regexp.MustCompile("^(WarmStart|Memory|Isolation)/")

// anyGuest names a guest that can be built here.
func anyGuest(t *testing.T) string {
	t.Helper()
	if _, _, err := workload.CompilerC(t.Context()); err != nil {
		return string(workload.Go)
	}
	return string(workload.C)
}

// checkTables lets benchstat draw what was printed: a table for each unit, with
// the runtimes as columns, and no complaint.
func checkTables(t *testing.T, out []byte) {
	t.Helper()
	goTool, _, err := workload.CompilerGo(t.Context())
	if err != nil {
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "out.txt")
	if err := os.WriteFile(file, out, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), goTool, "tool", "benchstat", "-format=csv", "-col", "/runtime@(native wazero-embedded)", "-row", ".name,/workload,/guest,/cache,/instances,/n,/workers,/load,/boundary,/guard,/fs,/op,/app,/size,/endpoint,/simd,/step,/service,/serve,/net,/loop", file)
	var tables, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &tables, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("benchstat: %v: %s", err, complaints.Bytes())
	}
	// Few samples make it say so; anything else would be a fault of the lines.
	for line := range strings.Lines(complaints.String()) {
		if !strings.Contains(line, "samples") && !strings.Contains(line, "geomean") {
			t.Errorf("benchstat: %s", line)
		}
	}
	for _, unit := range []string{"sec/op", "p50-sec", "max-sec", "ready-sec", "served-sec", "stop-sec", "cpu-%"} {
		if n := strings.Count(tables.String(), ","+unit+","); n != 2 { // once a column
			t.Errorf("%d columns of %s, want 2:\n%s", n, unit, tables.Bytes())
		}
	}
}

func keys(m map[string]int) (ks []string) {
	for k := range m {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func checkLine(t *testing.T, r *benchfmt.Result, named map[string]bool) {
	for _, c := range r.Config {
		if !slices.Contains([]string{"goos", "goarch", "pkg", "cpu", "cores", "serving", "kernel", "memory", ".file"}, c.Key) {
			t.Errorf("%s: configuration %s would split tables", r.Name, c.Key)
		}
	}
	have := map[string]float64{}
	for _, v := range r.Values {
		unit := v.Unit
		if v.OrigUnit != "" {
			unit = v.OrigUnit
		}
		have[unit] = v.Value
		if !named[unit] {
			t.Errorf("%s: unit %s has no Unit line before it", r.Name, unit)
		}
		if math.IsInf(v.Value, 0) || v.Value < 0 && !slices.Contains([]string{"base-B", "guard-%", "degradation-%", "saved-%"}, unit) || v.Value == 0 && !strings.HasSuffix(unit, "-B") && !mayBeNothing(string(r.Name), unit) {
			t.Errorf("%s: %s is %v", r.Name, unit, v.Value)
		}
	}
	want := expected(string(r.Name))
	for _, unit := range want.units {
		if _, ok := have[unit]; !ok {
			t.Errorf("%s has no %s", r.Name, unit)
		}
	}
	if _, ok := have["ns/op"]; ok && want.untimed {
		t.Errorf("%s has no operation to be timed", r.Name)
	}
	if inst, ok := have["inst"]; ok && inst != want.inst {
		t.Errorf("%s: %v instances, want %v", r.Name, inst, want.inst)
	}
	for _, unit := range []string{"p90-ns", "p99-ns", "p99.9-ns"} {
		if _, ok := have[unit]; ok && want.samples <= 6 && !want.many {
			t.Errorf("%s: %d samples carry no %s", r.Name, want.samples, unit)
		}
	}
	if r.Iters != want.samples {
		t.Errorf("%s: %d samples, want %d", r.Name, r.Iters, want.samples)
	}
}

// mayBeNothing tells whether 0 is a figure: what takes nothing of a processor, or was
// there before it was waited for.
func mayBeNothing(benchmark, unit string) bool {
	return unit == "client-wait-p99-ns" || unit == "surplus-USD/month" || unit == "saved-%" && strings.Contains(benchmark, "/step=base") || strings.HasPrefix(benchmark, "CPUEfficiency/") && strings.HasSuffix(unit, "-%") && (strings.Contains(benchmark, "load=idle") || unit != "cpu-%")
}

// An expectation is what the line of a benchmark has, of those that TestLines
// runs.
type expectation struct {
	samples int
	units   []string
	inst    float64
	untimed bool // there is no operation that has a time
	many    bool // a sample has many operations whose times are known
}

func expected(benchmark string) expectation {
	name, _, _ := strings.Cut(benchmark, "/")
	e := expectation{samples: 6, units: []string{"ns/op", "p50-ns", "max-ns"}}
	switch name {
	case "Fibonacci", "Isolation":
		if strings.Contains(benchmark, "guard=on") {
			e.units = append(e.units, "guard-%")
		}
	case "ParallelSum":
		e.units = append(e.units, "cpu-%", "eff-%")
	case "CPUEfficiency":
		e.samples = 1
		e.many = true
		e.units = []string{"ns/op", "cpu-%"} // too short to tell user from system time
		if strings.Contains(benchmark, "load=idle") {
			e.units, e.untimed, e.inst = []string{"cpu-%", "guest-cpu-%", "inst"}, true, 2
		}
	case "FileIO":
		e.units = append(e.units, "read-B/s")
		if strings.Contains(benchmark, "write") {
			e.units[3] = "write-B/s"
		}
		if strings.Contains(benchmark, "op=rand") {
			e.units, e.many = append(e.units, "p90-ns", "clock-ns"), true
		}
	case "Memory":
		e.samples, e.untimed = 1, true
		e.units = []string{"pss-B", "rss-B", "vms-B", "shared-B", "private-B", "total-B", "settle-ns"}
	case "MemoryScaling":
		e.samples = 1
		e.units = []string{"pss-B", "total-B", "settle-ns"}
	case "HTTP", "Ecommerce", "Scaling", "Resources":
		e.samples, e.untimed, e.many = 1, true, true
		e.units = []string{"req/s", "max-ns", "cpu-ns/req", "client-cpu-ns/req"}
		switch {
		case strings.Contains(benchmark, "loop=open"):
			e.units = append(e.units, "achieved-%")
		case strings.Contains(benchmark, "instances=3"):
			e.units = append(e.units, "eff-%", "degradation-%")
		case name == "Resources":
			e.inst = 1
			e.units = append(e.units, "p99-ns", "cores", "pss-B", "inst", "achieved-%")
		}
	case "MonthlyCost":
		e.samples, e.untimed = 1, true
		e.units = []string{"USD/month", "USD/month-low", "USD/month-high", "surplus-USD/month", "hosts", "USD/Mreq", "req/s", "req/s-low", "req/s-high", "cpu-ns/req", "inst-pss-B", "base-pss-B"}
	case "TCO":
		e.samples, e.untimed = 1, true
		e.units = []string{"USD/year", "USD/year-low", "USD/year-high", "infra-USD/year", "operations-USD/year", "development-USD/year", "monitoring-USD/year"}
	case "ImageProcessing":
		e.units = append(e.units, "ops/s", "peak-B", "cpu-%")
	case "ImageSize":
		e.units = append(e.units, "ready-ns", "image-B", "compressed-B", "host-B", "saved-%", "pss-B")
	case "Density":
		e.samples, e.inst = 1, 8
		e.units = append(e.units, "inst", "ended-by-flag", "inst/s", "pss-B", "total-B")
	default:
		e.units = append(e.units, "ready-ns", "served-ns", "stop-ns")
	}
	return e
}

// refuses fails where a run with a wrong flag is not ended before anything is measured,
// or does not say so much.
func refuses(t *testing.T, flag, says string) {
	t.Helper()
	out, errs, err := rerun(t, "-test.bench=.", flag)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("error %v, want exit status 2", err)
	}
	if !strings.Contains(string(errs), says) || bytes.Contains(out, []byte("Benchmark")) {
		t.Errorf("it says %q and prints %q", errs, out)
	}
}

// A wrong command line ends before anything is measured and names what there is.
func TestBadFlags(t *testing.T) {
	tests := []struct{ flag, says string }{
		{"-runtimes=wasmtme", "native, wazero"},
		{"-guests=cobol", "[c go node node-jitless python]"},
		{"-serve.pool=-1", "-serve.pool"},
		{"-node.image=node:22", "-node.image"},
		{"-wasmtime.api=fast", "pooled or go"},
		{"-warmups=-1", "-warmups"},
		{"-scaling.instances=1,many", "-scaling.instances"},
		{"-density.instances=0", "-density.instances"},
		{"-limit.memory=-1", "-limit.memory"},
		{"-settle=0", "-settle"},
		{"-fibonacci.n=30,94", "from 0 to 93"},
		{"-parallel.workers=0", "-parallel.workers"},
		{"-parallel.elements=0", "-parallel.elements"},
		{"-isolation.rounds=0", "-isolation.rounds"},
		{"-efficiency.time=0", "-efficiency.time"},
		{"-idle.instances=0", "-idle.instances"},
		{"-file.size=0", "-file.size"},
		{"-file.size=100000", "from 1 to 65536"},
		{"-file.ops=0", "-file.ops"},
		{"-file.dir=/no/such/directory", "-file.dir"},
		{"-http.time=0", "-http.time"},
		{"-http.connections=0", "-http.connections"},
		{"-http.rate=0", "-http.rate"},
		{"-http.serve=warm", "pool, fresh or all"},
		{"-resources.p99=0", "-resources.p99"},
		{"-knee.instances=0", "-knee.instances"},
		{"-knee.windows=0", "-knee.windows"},
		{"-image.sizes=0", "-image.sizes"},
		{"-image.sizes=31", "from 1 to 30"},
		{"-image.simd=yes", "off, on or all"},
	}
	for _, tt := range tests {
		t.Run(tt.flag, func(t *testing.T) { refuses(t, tt.flag, tt.says) })
	}
}

// An absent runtime is named with its reason and remedy, before the first
// benchmark, and fails the run where the environment requires it.
func TestAbsentRuntime(t *testing.T) {
	flags := []string{"-test.bench=WarmStart", "-test.benchtime=1x", "-runtimes=native,containerd", "-guests=go", "-containerd.address=/no/such/socket"}
	t.Setenv(requireEnv, "")
	out, errs, err := rerun(t, flags...)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	comment, _, _ := strings.Cut(string(out), "\nBenchmark")
	if !strings.Contains(comment, "# absent runtime containerd: containerd") || !strings.Contains(comment, "(to have it: ") {
		t.Errorf("what is absent is not named before the first benchmark:\n%s", out)
	}
	t.Setenv(requireEnv, "containerd")
	if out, _, err := rerun(t, flags...); err == nil || !bytes.Contains(out, []byte("FAIL")) {
		t.Errorf("error %v without a runtime that is required:\n%s", err, out)
	}
}

// A benchtime that is longer than the budget must not make testing ask for more
// and more.
func TestBudgetReachesBenchtime(t *testing.T) {
	out, errs, err := rerun(t, "-test.bench=WarmStart", "-test.benchtime=300ms", "-budget=1ms", "-runtimes=native", "-guests=go")
	if err != nil || !bytes.Contains(out, []byte("-budget=300ms")) {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}
