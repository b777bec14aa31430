package wasmbench

import (
	"context"
	"fmt"
	"io"
	"math"
	goruntime "runtime"
	"slices"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// units are those that the suite reports, with the direction in which each is
// better. The order is that of a benchmark's line.
var units = []struct{ unit, better string }{
	{"ns/op", "lower"},
	{"p50-ns", "lower"}, {"p90-ns", "lower"}, {"p99-ns", "lower"}, {"p99.9-ns", "lower"}, {"max-ns", "lower"},
	{"load-ns", "lower"}, {"create-ns", "lower"}, {"start-ns", "lower"}, {"ready-ns", "lower"}, {"served-ns", "lower"}, {"stop-ns", "lower"},
	{"clock-ns", "lower"}, {"read-B/s", "higher"}, {"write-B/s", "higher"}, {"eff-%", "higher"}, {"guard-%", "lower"},
	{"pss-B", "lower"}, {"rss-B", "lower"}, {"vms-B", "lower"}, {"shared-B", "lower"}, {"private-B", "lower"}, {"total-B", "lower"},
	{"app-text-B", "lower"}, {"app-heap-B", "lower"}, {"app-anon-B", "lower"}, {"app-jit-B", "lower"}, {"v8-heap-B", "lower"}, {"language-B", "lower"}, {"libs-B", "lower"},
	{"engine-B", "lower"}, {"linear-B", "lower"}, {"stack-B", "lower"}, {"code-B", "lower"},
	{"shim-B", "lower"}, {"daemon-B", "lower"}, {"kernel-B", "lower"}, {"swap-B", "lower"}, {"cgroup-B", "lower"}, {"cgroup-peak-B", "lower"}, {"cgroup-kernel-B", "lower"},
	{"inst-B", "lower"}, {"inst-low-B", "lower"}, {"inst-high-B", "lower"}, {"base-B", "lower"}, {"available-B", "lower"},
	{"inst-128GB", "higher"}, {"inst-128GB-low", "higher"}, {"inst-128GB-high", "higher"}, {"inst/s", "higher"}, {"settle-ns", "lower"}, {"unsettled", "lower"},
	{"req/s", "higher"}, {"cpu-ns/req", "lower"}, {"shim-cpu-ns/req", "lower"}, {"daemon-cpu-ns/req", "lower"}, {"client-cpu-ns/req", "lower"}, {"failed", "lower"}, {"achieved-%", "higher"}, {"lag-p99-ns", "lower"}, {"client-wait-p99-ns", "lower"},
	{"cores", "lower"}, {"daemon-cores", "lower"}, {"daemon-pss-B", "lower"}, {"degradation-%", "lower"}, {"knee-inst", "higher"},
	{"ops/s", "higher"}, {"peak-B", "lower"}, {"saved-%", "higher"},
	{"USD/month", "lower"}, {"USD/month-low", "lower"}, {"USD/month-high", "lower"}, {"surplus-USD/month", "lower"}, {"hosts", "lower"}, {"USD/Mreq", "lower"},
	{"req/s-low", "higher"}, {"req/s-high", "higher"}, {"cpu-ns/req-low", "lower"}, {"cpu-ns/req-high", "lower"}, {"daemon-cpu-ns/req-low", "lower"}, {"daemon-cpu-ns/req-high", "lower"},
	{"inst-pss-B", "lower"}, {"inst-pss-B-low", "lower"}, {"inst-pss-B-high", "lower"}, {"base-pss-B", "lower"},
	{"USD/year", "lower"}, {"USD/year-low", "lower"}, {"USD/year-high", "lower"}, {"infra-USD/year", "lower"},
	{"pause-ns", "lower"}, {"max-pause-ns", "lower"}, {"resume-ns", "lower"}, {"max-resume-ns", "lower"},
}

// exactUnits are those of figures that do not vary.
var exactUnits = []string{
	"base-os-B", "image-B", "compressed-B", "host-B",
	"operations-USD/year", "development-USD/year", "monitoring-USD/year",
	"ended-by-flag", "ended-by-" + string(measure.LimitFreeMemory), "ended-by-" + string(measure.LimitMapCount), "ended-by-" + string(measure.LimitAddressSpace),
	"ended-by-" + string(measure.LimitTasks), "ended-by-" + string(measure.LimitOpenFiles), "ended-by-" + string(measure.LimitTime), "ended-by-" + string(measure.LimitRuntime),
}

// announce writes what a reader of the results must know before the first of
// them: units, the host as configuration, and in comments every runtime with
// its version and settings or why it is absent.
func announce(ctx context.Context, w io.Writer) {
	for _, u := range units {
		fmt.Fprintf(w, "Unit %s better=%s\n", u.unit, u.better)
	}
	for _, unit := range exactUnits {
		fmt.Fprintf(w, "Unit %s assume=exact\n", unit)
	}
	for _, unit := range []string{"cpu-%", "user-%", "sys-%", "shim-%", "guest-cpu-%", "shim-cpu-%", "daemon-cpu-%", "inst"} {
		fmt.Fprintf(w, "Unit %s assume=nothing\n", unit) // better high when computing or held, low when idle or needed
	}
	for _, f := range hostFacts() {
		fmt.Fprintf(w, "%s: %s\n", f.key, f.value)
	}
	fmt.Fprintf(w, "# order: -seed=%d\n", *flagSeed)
	fmt.Fprintf(w, "# before each figure of starts: -warmups=%d; a figure takes no more samples after -budget=%v\n", *flagWarmups, *flagBudget)
	if d, err := measure.Floor(ctx, 10_000); err != nil {
		fmt.Fprintf(w, "# harness floor: not measured: %s\n", oneLine(err.Error()))
	} else {
		p50, _ := d.Percentile(50)
		p99, _ := d.Percentile(99)
		fmt.Fprintf(w, "# harness floor: a start that does nothing takes p50 %d ns, p99 %d ns\n", p50.Nanoseconds(), p99.Nanoseconds())
	}
	compilers(ctx, w)
	if err := measure.PageCacheDroppable(); err != nil {
		fmt.Fprintf(w, "# absent %s\n", oneLine(err.Error()))
	}
	for _, c := range suite.candidates {
		progress("looking for %s", c.Name())
		if c.info, c.err = c.Probe(ctx); c.err != nil {
			fmt.Fprintf(w, "# absent runtime %s: %s\n", c.Name(), oneLine(c.err.Error()))
			continue
		}
		fmt.Fprintf(w, "# runtime %s: %s; %s\n", c.Name(), oneLine(c.info.Version), oneLine(c.info.Settings))
	}
}

// readProcessors reads the account of all processors together, in seconds; it
// is zero where there is none.
func readProcessors() procfs.CPUStat {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return procfs.CPUStat{}
	}
	stat, err := fs.Stat()
	if err != nil {
		return procfs.CPUStat{}
	}
	return stat.CPUTotal
}

// conclude tells how much of the processors others had while the suite ran: on
// a virtual machine with neighbours a figure is worth as much as this is small.
func conclude(w io.Writer, before, after procfs.CPUStat) {
	sum := func(s procfs.CPUStat) float64 {
		return s.User + s.Nice + s.System + s.Idle + s.Iowait + s.IRQ + s.SoftIRQ + s.Steal
	}
	passed, busy := sum(after)-sum(before), sum(after)-after.Idle-after.Iowait-sum(before)+before.Idle+before.Iowait
	if passed <= 0 || busy <= 0 {
		return
	}
	stolen := after.Steal - before.Steal
	fmt.Fprintf(w, "# processors: %.0f%% busy, and of that the hypervisor gave %.1f%% to others\n", 100*busy/passed, 100*stolen/busy)
}

// compilers tells what builds or interprets the native guests.
func compilers(ctx context.Context, w io.Writer) {
	for _, l := range languages(*flagGuests, nil) {
		var version string
		var err error
		switch l {
		case workload.C:
			_, version, err = workload.CompilerC(ctx)
		case workload.Go:
			_, version, err = workload.CompilerGo(ctx)
		default:
			_, version, err = workload.Interpreter(ctx, l)
		}
		if err != nil {
			fmt.Fprintf(w, "# absent guest %s, native: %s\n", l, oneLine(err.Error()))
		} else {
			fmt.Fprintf(w, "# guest %s: native by %s\n", l, version)
		}
	}
}

type hostFact struct{ key, value string }

// hostFacts describes the machine beyond what testing prints itself. The values
// are coarse: a fact that differs between two runs splits their tables.
func hostFacts() (facts []hostFact) {
	add := func(key, format string, args ...any) {
		facts = append(facts, hostFact{key, fmt.Sprintf(format, args...)})
	}
	add("cores", "%d", goruntime.NumCPU())
	add("serving", "%s", serving())
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return facts
	}
	if release, err := fs.SysctlStrings("kernel.osrelease"); err == nil && len(release) > 0 {
		add("kernel", "%s", release[0])
	}
	if m, err := fs.Meminfo(); err == nil && m.MemTotalBytes != nil {
		add("memory", "%.0fGiB", math.Ceil(float64(*m.MemTotalBytes)/(1<<30)))
	}
	return slices.Clip(facts)
}

// serving says how requests reach a guest that has no server of its own.
func serving() string {
	if *flagServePool == 0 {
		return "instance-per-request"
	}
	return fmt.Sprintf("pool-of-%d", *flagServePool)
}
