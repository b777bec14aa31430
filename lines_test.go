package wasmbench

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
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
	const guest = string(workload.Go) // it serves everywhere
	const count = 2                   // from the second on testing prints the name before it calls
	out, err := rerunAsGoTest(t, "-test.bench=.", "-test.count="+strconv.Itoa(count), "-test.benchtime=6x", "-budget=0", "-runtimes=native,wazero-embedded", "-guests="+guest, "-fibonacci.n=20",
		"-settle=20ms", "-scaling.instances=1,3,5", "-density.instances=8")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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
		for _, n := range []string{"1", "3", "5"} {
			want = append(want, "MemoryScaling/workload=hello/guest="+guest+"/runtime="+r+"/instances="+n)
		}
		for _, app := range workload.Apps() {
			want = append(want, "Density/workload="+app+"/guest="+guest+"/runtime="+r+"/app="+app)
		}
	}
	for _, name := range want {
		if !slices.ContainsFunc(keys(seen), func(s string) bool { return (s == name || strings.HasPrefix(s, name+"-")) && seen[s] == count }) {
			t.Errorf("no %d lines %s; there are %v", count, name, seen)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d benchmarks, want %d: %v", len(seen), len(want), keys(seen))
	}
}

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
	cmd := exec.CommandContext(t.Context(), goTool, "tool", "benchstat", "-format=csv", "-col", "/runtime@(native wazero-embedded)", "-row", ".name,/workload,/guest,/cache,/instances", file)
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
		if math.IsInf(v.Value, 0) || v.Value < 0 && unit != "base-B" || v.Value == 0 && !strings.HasSuffix(unit, "-B") {
			t.Errorf("%s: %s is %v", r.Name, unit, v.Value)
		}
	}
	name, _, _ := strings.Cut(string(r.Name), "/")
	samples := 6
	must := []string{"ns/op", "p50-ns", "max-ns"}
	switch name {
	case "Fibonacci":
	case "Memory":
		samples = 1
		must = []string{"pss-B", "rss-B", "vms-B", "shared-B", "private-B", "total-B", "settle-ns"}
		if _, ok := have["ns/op"]; ok {
			t.Errorf("%s has no operation to be timed", r.Name)
		}
	case "MemoryScaling":
		samples = 1
		must = []string{"pss-B", "total-B", "settle-ns"}
	case "Density":
		samples = 1
		must = append(must, "inst", "ended-by-flag", "inst/s", "pss-B", "total-B")
		if have["inst"] != 8 {
			t.Errorf("%s: %v instances, want 8", r.Name, have["inst"])
		}
	default:
		must = append(must, "ready-ns", "served-ns", "stop-ns")
	}
	for _, unit := range must {
		if _, ok := have[unit]; !ok {
			t.Errorf("%s has no %s", r.Name, unit)
		}
	}
	for _, unit := range []string{"p90-ns", "p99-ns", "p99.9-ns"} {
		if _, ok := have[unit]; ok {
			t.Errorf("%s: 6 samples carry no %s", r.Name, unit)
		}
	}
	if r.Iters != samples {
		t.Errorf("%s: %d samples, want %d", r.Name, r.Iters, samples)
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
	}
	for _, tt := range tests {
		t.Run(tt.flag, func(t *testing.T) {
			out, errs, err := rerun(t, "-test.bench=.", tt.flag)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("error %v, want exit status 2", err)
			}
			if !strings.Contains(string(errs), tt.says) || bytes.Contains(out, []byte("Benchmark")) {
				t.Errorf("it says %q and prints %q", errs, out)
			}
		})
	}
}

func TestFibonacciOutOfRangeFails(t *testing.T) {
	out, _, err := rerun(t, "-test.bench=Fibonacci", "-runtimes=native", "-fibonacci.n=94")
	if err == nil || !bytes.Contains(out, []byte("between 0 and 93")) {
		t.Errorf("error %v, output %s", err, out)
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
