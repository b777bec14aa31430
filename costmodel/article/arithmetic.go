package article

import (
	"fmt"
	"math"
	"strings"
)

// Arithmetic checks figures that others determine. An error is a figure that is not
// there.
func Arithmetic(fs Figures) ([]Check, error) {
	c := &checker{Figures: fs}
	for _, part := range []func(*checker){
		deltas, starts, memory, processors, files, serving, waiting, density, steps, shop, images, sizes, money, ownership, findings,
	} {
		if part(c); c.err != nil {
			return nil, c.err
		}
	}
	return c.checks, nil
}

// percent is by how much b is more than a.
func percent(a, b float64) float64 { return 100 * (b/a - 1) }

func (c *checker) rows(table, metric string) []string {
	var rows []string
	for _, f := range c.All {
		if f.Table == table && f.Metric == metric && f.System == "" {
			rows = append(rows, f.Row)
		}
	}
	return rows
}

const indicators = "Performance Metrics Comparison"

// deltas: four of the five are the ratio of the upper ends of both ranges, so that
// is the rule.
func deltas(c *checker) {
	inMs := func(f Figure) float64 {
		if f.Unit == "s" {
			return 1000
		}
		return 1
	}
	for _, r := range []struct{ row, metric string }{
		{"Cold Start", "cold start"}, {"Warm Start", "warm start"}, {"Memory Baseline", "memory baseline"}, {"Image Size", "image size"}, {"CPU Overhead", "cpu overhead"},
	} {
		container, wasm := c.at(indicators, r.row, "container", r.metric), c.at(indicators, r.row, "wasm", r.metric)
		cl, ch := container.ends()
		wl, wh := wasm.ends()
		delta, unit := c.at(indicators, r.row, "", "delta"), inMs(container)/inMs(wasm)
		from := "the upper end for containers by that for modules, as in the four other rows"
		if cl*unit == delta.Value*wl {
			from += "; " + number(delta.Value) + " by the lower ends"
		}
		c.equals(delta, ch/wh*unit, from)
	}
}

const startups = "Startup Time by Runtime"

func starts(c *checker) {
	rows := map[string][]string{"container": {"Docker + Node.js", "Docker + Go", "Docker + Python"}, "wasm": {"Wasmtime", "WasmEdge", "Spin"}}
	for _, system := range []string{"container", "wasm"} {
		scale := 1.
		if system == "container" {
			scale = 1e-3 // the key indicators have cold starts in seconds
		}
		var cold, warm []float64
		for _, row := range rows[system] {
			a, b := c.v(startups, row, system, "cold start"), c.v(startups, row, system, "warm start")
			cold, warm = append(cold, a*scale), append(warm, b)
			c.equals(c.at(startups, row, system, "first request"), a+b, "cold start plus warm start: it was added up, not measured")
		}
		var distribution []float64
		for _, p := range []string{"p50", "p90", "p99"} {
			distribution = append(distribution, c.v("Cold Start Results", p, system, "cold start"))
		}
		c.holds(c.at(indicators, "Cold Start", system, "cold start"), "start-up by runtime, and the distribution of cold starts", append(cold, distribution...)...)
		c.holds(c.at(indicators, "Warm Start", system, "warm start"), "start-up by runtime", warm...)
	}
	iterations := c.v("Testing Environment", "test_parameters", "", "iterations")
	c.equals(c.at("Cold Start Performance", "code", "", "starts"), iterations, "iterations of the test parameters")
	c.equals(c.at("Warm Start Comparison", "code", "", "restarts"), iterations, "iterations of the test parameters")
}

const footprint = "Memory Usage Results"

func memory(c *checker) {
	for _, system := range []string{"container", "wasm"} {
		total := c.v(footprint, "Total", system, "memory")
		var sum, percentages float64
		for _, f := range c.All {
			if f.Table != footprint || f.System != system || f.Row == "Total" {
				continue
			}
			if f.Metric == "memory" {
				sum += f.Value
				c.equals(c.at(footprint, f.Row, system, "percentage"), 100*f.Value/total, "its memory by the total")
			} else {
				percentages += f.Value
			}
		}
		c.equals(c.at(footprint, "Total", system, "memory"), sum, "the sum of its parts")
		c.equals(c.at(footprint, "Total", system, "percentage"), percentages, "the sum of its parts")
		c.equals(c.at("Memory Scaling", system+"_memory", system, "memory of an instance"), total, "the total of the profile")
		baseline := c.at(indicators, "Memory Baseline", system, "memory baseline")
		c.holds(baseline, "the total of the profile, MB", total)
		// Other applications take more than a baseline, and so do instances of the shop
		// under load: hello world is what the profile is of too.
		c.holds(baseline, "the memory of the host by the most hello worlds on it, MB",
			c.v(densities, "heading", "", "memory of the host")*c.megabytes()/c.v(densities, "Hello World", system, "instances"))
	}
}

// megabytes is how many make a gigabyte, as the article's code has it.
func (c *checker) megabytes() float64 { return c.v("Memory Scaling", "plot", "", "MB of a GB") }

const fibonacci = "CPU Performance Results"

func processors(c *checker) {
	native := c.v(fibonacci, "Native", "native", "time")
	over, busy := map[string][]float64{}, map[string][]float64{}
	for _, r := range []struct{ row, system string }{
		{"Native", "native"}, {"WASM (Wasmtime)", "wasm"}, {"WASM (WasmEdge)", "wasm"}, {"Container (JIT)", "container"}, {"Container (Int)", "container"},
	} {
		time := c.v(fibonacci, r.row, r.system, "time")
		busy[r.system] = append(busy[r.system], c.v(fibonacci, r.row, r.system, "cpu"))
		c.equals(c.at(fibonacci, r.row, r.system, "relative"), time/native, "its time by the native one")
		if r.row != "Container (Int)" {
			over[r.system] = append(over[r.system], percent(native, time))
		}
	}
	for _, system := range []string{"container", "wasm"} {
		c.holds(c.at(indicators, "CPU Overhead", system, "cpu overhead"), "Fibonacci above native, compiled, %", over[system]...)
	}
	bound := func(system string) Figure { return c.at("CPU Efficiency Comparison", "CPU Bound", system, "cpu") }
	const from = "Fibonacci, which nothing but the processor bounds, %"
	c.holds(bound("container"), from, busy["container"]...)
	c.holds(bound("wasm"), from, busy["wasm"]...)
	c.equals(bound("native"), busy["native"][0], from)
}

func files(c *checker) {
	disk := c.at("Testing Environment", "storage", "", "read throughput")
	read := c.v("I/O Performance Results", "Seq. Read", "native", "throughput")
	verdict := Follows
	if read > disk.Value {
		verdict = Fails
	}
	c.add(disk, "sequential reading natively, MB/s: more than the disk reads would be the page cache", number(read), verdict)

	size, bytes, mb := c.at("File I/O Benchmarks", "code", "", "file size"), c.v("File I/O Benchmarks", "code", "", "buffer size"), c.megabytes()
	c.equals(size, bytes/(mb*mb), "its buffer in bytes, with 1024 for each step as the plot of memory has it")
}

const (
	serversTable = "HTTP Performance"
	latencies    = "Network Latency"
)

func serving(c *checker) {
	for _, row := range c.rows(serversTable, "difference") {
		c.equals(c.at(serversTable, row, "", "difference"),
			percent(c.v(serversTable, row, "container", "requests"), c.v(serversTable, row, "wasm", "requests")), "requests of both")
	}
	var slower []float64
	for _, p := range []string{"p50", "p90", "p99", "p99.9"} {
		slower = append(slower, percent(c.v(latencies, p, "container", "latency"), c.v(latencies, p, "wasm", "latency")))
	}
	c.holds(c.at(indicators, "Network Latency", "wasm", "latency above containers"), "the table of latencies, modules above containers, %", slower...)
}

// waiting compares the latencies with what requests that are always under way take on
// average, which is their number by requests a second (Little's law). The slowest
// thousandth has no percentile, and may make any mean; one that is mostly theirs does
// not follow.
func waiting(c *checker) {
	code := func(metric string) float64 { return c.v("Network Performance", "code", "", metric) }
	connections, pipelining := code("connections"), code("pipelining")
	for _, system := range []string{"container", "wasm"} {
		fastest := 0. // the application whose requests take least
		for _, row := range c.rows(serversTable, "difference") {
			fastest = max(fastest, c.v(serversTable, row, system, "requests"))
		}
		mean := 1000 * connections * pipelining / fastest
		low, high := c.percentilesMake(system)
		verdict := Fails
		if low <= mean && mean <= 2*high {
			verdict = Follows
		}
		c.add(c.at(latencies, "p99.9", system, "latency"),
			fmt.Sprintf("Little's law, if both tables are of the load that the code makes: %s connections with %s requests each under way, by the %s req/s of the fastest application. The percentiles make %s ms of that mean at most; the rest would be of the slowest 0.1 %%, in a test of %s s. With one request on each connection the mean would be %s ms",
				number(connections), number(pipelining), number(fastest), number(high), number(code("duration")), number(mean/pipelining)),
			fmt.Sprintf("%s ms on average, %s s for each of the slowest 0.1 %%", number(mean), number((mean-high)/0.001/1000)), verdict)
	}
}

// percentilesMake returns the least and the most, ms, that the requests up to the last
// percentile make of the mean of all.
func (c *checker) percentilesMake(system string) (low, high float64) {
	share, latency := 0., 0.
	for _, p := range []struct {
		row  string
		upTo float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}} {
		next := c.v(latencies, p.row, system, "latency")
		low += (p.upTo - share) * latency
		high += (p.upTo - share) * next
		share, latency = p.upTo, next
	}
	return low, high
}

const densities = "Density Results"

func density(c *checker) {
	for _, row := range c.rows(densities, "ratio") {
		c.equals(c.at(densities, row, "", "ratio"), c.v(densities, row, "wasm", "instances")/c.v(densities, row, "container", "instances"), "instances of both")
	}
	// What an instance takes of a host that is full, and how many of these the hosts
	// of the cost model would hold.
	heading := c.at(densities, "heading", "", "memory of the host")
	c.equals(heading, c.v("Testing Environment", "memory", "", "memory"), "the memory of the testing environment")
	ram := heading.Value
	for _, s := range []struct{ system, host string }{{"container", "t3.medium"}, {"wasm", "t3.small"}} {
		perHost := c.at(costs, s.host, s.system, "instances_per_host")
		least, most := math.Inf(1), 0.
		for _, row := range c.rows(densities, "ratio") {
			fit := math.Floor(c.v(densities, row, s.system, "instances") * c.v(costs, s.host, s.system, "memory") / ram)
			least, most = min(least, fit), max(most, fit)
		}
		verdict := Fails
		if least <= perHost.Value && perHost.Value <= most {
			verdict = Follows
		}
		c.add(perHost, "instances on 128 GB by application, on the memory of this host", number(least)+" to "+number(most), verdict)
	}
	// By memory alone the constants favour modules twice.
	container, wasm := c.at(costs, "t3.medium", "container", "instances_per_host"), c.at(costs, "t3.small", "wasm", "instances_per_host")
	ratio := wasm.Value / c.v(costs, "t3.small", "wasm", "memory") / (container.Value / c.v(costs, "t3.medium", "container", "memory"))
	c.holdsRatio(c.at("Key Findings", "density", "wasm", "claim"), ratio, "instances per host and GB in the cost model, modules by containers")
}

// steps: the density test may ask for more than a host holds, but what it finds is one
// of its steps.
func steps(c *checker) {
	const test = "Instance Density Test"
	for _, system := range []string{"container", "wasm"} {
		found := c.at(densities, "Hello World", system, "instances")
		verdict := Fails
		var fit, beyond []string
		for _, f := range c.All {
			switch {
			case f.Table != test || f.System != system:
				continue
			case f.Value > found.Value:
				beyond = append(beyond, number(f.Value))
				continue
			case f.Value == found.Value:
				verdict = Follows
			}
			fit = append(fit, number(f.Value))
		}
		c.add(found, "the steps of the density test, which has hello world too: the maximum would be one of them, if it is of that test and that test, which names no host, of this one",
			strings.Join(fit, ", ")+" fit; "+strings.Join(beyond, ", ")+" do not", verdict)
	}
}

// holdsRatio is holds for one ratio, which is told with an x.
func (c *checker) holdsRatio(f Figure, ratio float64, from string) {
	low, high := f.ends()
	verdict := Follows
	if ratio < low || ratio > high {
		verdict = Fails
	}
	c.add(f, from, number(ratio)+"x", verdict)
}

const (
	resources = "Resource Usage per 1000 req/s"
	shopTable = "E-commerce API Performance"
)

func shop(c *checker) {
	for _, row := range c.rows(shopTable, "improvement") {
		c.equals(c.at(shopTable, row, "", "improvement"), percent(c.v(shopTable, row, "container", "requests"), c.v(shopTable, row, "wasm", "requests")), "requests of both")
	}
	for _, row := range c.rows(resources, "savings") {
		c.equals(c.at(resources, row, "", "savings"), -percent(c.v(resources, row, "container", "resource"), c.v(resources, row, "wasm", "resource")), "what both take")
	}
	// One instance answers its share of 1000 requests a second.
	for _, system := range []string{"container", "wasm"} {
		least := math.Inf(1)
		for _, row := range c.rows(shopTable, "improvement") {
			least = min(least, c.v(shopTable, row, system, "requests"))
		}
		needed := math.Ceil(c.v(resources, "heading", "", "requests") / least)
		c.equals(c.at(resources, "Instances", system, "resource"), needed, fmt.Sprintf("1000 req/s by %s of the slowest endpoint of the shop, if that table is of one instance", number(least)))
	}
}

const imagesTable = "Image Processing Results"

func images(c *checker) {
	for _, row := range c.rows(imagesTable, "notes") {
		c.equals(c.at(imagesTable, row, "", "notes"), percent(c.v(imagesTable, row, "container", "operations"), c.v(imagesTable, row, "wasm", "operations")), "operations of both")
	}
}

func sizes(c *checker) {
	const table = "Optimization Impact"
	made := map[string][]float64{}
	for _, f := range c.All {
		if f.Table == table && f.Metric == "size" {
			made[f.System] = append(made[f.System], f.Value)
		}
	}
	for _, system := range []string{"container", "wasm"} {
		c.holds(c.at(indicators, "Image Size", system, "image size"), "the sizes before and after optimization, MB", made[system]...)
	}
	for _, r := range []struct{ row, system string }{
		{"Multi-stage", "container"}, {"Distroless", "container"}, {"Size optimize", "wasm"}, {"AOT compile", "wasm"}, {"Strip symbols", "wasm"},
	} {
		c.equals(c.at(table, r.row, "", "improvement"), -percent(c.v(table, "Base", r.system, "size"), c.v(table, r.row, r.system, "size")), "its size by the base's, "+r.system)
	}
	// The last row has both and one percentage, the module's.
	c.equals(c.at(table, "Strip symbols", "", "improvement"), -percent(c.v(table, "Base", "container", "size"), c.v(table, "Strip symbols", "container", "size")), "the container's sizes: the percentage is the module's alone")
}

// findings compares the conclusions with the tables.
func findings(c *checker) {
	claim := func(row string) Figure { return c.at("Key Findings", row, "wasm", "claim") }
	least, most := math.Inf(1), 0.
	for _, container := range []string{"Docker + Node.js", "Docker + Go", "Docker + Python"} {
		for _, wasm := range []string{"Wasmtime", "WasmEdge", "Spin"} {
			r := c.v(startups, container, "container", "cold start") / c.v(startups, wasm, "wasm", "cold start")
			least, most = min(least, r), max(most, r)
		}
	}
	c.holds(claim("startup"), "start-up by runtime, every container by every engine, x", least, most)
	c.holds(claim("memory"), "totals of the memory profiles, x", c.v(footprint, "Total", "container", "memory")/c.v(footprint, "Total", "wasm", "memory"))
	var ratios []float64
	for _, row := range c.rows(densities, "ratio") {
		ratios = append(ratios, c.v(densities, row, "", "ratio"))
	}
	c.holds(claim("density"), "the ratios of its table, x", ratios...)

	// "Most" is more than half.
	within := func(from string, off ...float64) {
		n, f := 0, claim("CPU performance")
		for _, o := range off {
			if math.Abs(o) <= f.Value {
				n++
			}
		}
		verdict := Fails
		if 2*n > len(off) {
			verdict = Follows
		}
		c.add(f, from, fmt.Sprintf("%d of %d within", n, len(off)), verdict)
	}
	var off []float64
	for _, row := range c.rows(imagesTable, "notes") {
		off = append(off, c.v(imagesTable, row, "", "notes"))
	}
	within("image processing, modules and containers", off...)
	container := c.v(fibonacci, "Container (JIT)", "container", "time")
	within("Fibonacci, modules and compiled container", percent(container, c.v(fibonacci, "WASM (Wasmtime)", "wasm", "time")), percent(container, c.v(fibonacci, "WASM (WasmEdge)", "wasm", "time")))
}
