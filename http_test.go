package wasmbench

import (
	"fmt"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A webApp is one of BenchmarkHTTP's services.
type webApp struct {
	name   string
	guest  func(workload.Language) (workload.Workload, error)
	guests []workload.Language // by default
	first  bool                // it is the least: on more runtimes, by fresh instances, on a bridge and at a given rate too
	sizes  []int64             // of the files that are asked for, nil where there are none
}

// servingRuntimes are those that serve hello by default: an embedded runtime does it
// as the one with a process for each service, and containerd by runc. Fewer do the
// larger apps, for time.
var (
	servingRuntimes = []string{"native", "wazero", "wasmtime", "wasmedge", "spin", "containerd", "docker", "containerd-wasmtime"}
	fewerServing    = []string{"native", "wasmtime", "containerd"}
)

// fileSizes are those of the article's static files, in bytes.
var fileSizes = []int64{1 << 10, 64 << 10, 1 << 20}

func webApps(dir string) []webApp {
	everywhere := []workload.Language{workload.C, workload.Go, workload.Node}
	inGo := []workload.Language{workload.Go}
	return []webApp{
		{name: "hello", guest: hello, guests: everywhere, first: true},
		{name: "json", guest: func(l workload.Language) (workload.Workload, error) { return onBase(workload.JSON(l)), nil }, guests: everywhere},
		{name: "db", guest: func(l workload.Language) (workload.Workload, error) {
			return workload.DB(l, dir), stock(dir)
		}, guests: inGo},
		{name: "static", guest: func(l workload.Language) (workload.Workload, error) { return workload.Static(l, dir, fileSizes[0]) }, guests: inGo, sizes: fileSizes},
	}
}

// BenchmarkHTTP is the article's HTTP performance and network latency: a service
// that runs is asked for -http.time by -http.connections users on the same machine,
// from a process of its own. With loop=closed each user asks again when it has been
// answered; with loop=open they ask -http.rate times a second together, and a
// latency counts from when a request was due. Each answer is checked, failed counts
// those that were wrong or missing, and cpu-ns/req is what the service's own
// processes spent on one, client-cpu-ns/req what the load generator did.
//
// A module is served by its engine's host with serve=pool, a few instances that
// live on, or serve=fresh, an instance of its own for each request; any other guest
// is a process that serves. Containers are on the host's network or, with
// net=bridge, have a network of their own.
func BenchmarkHTTP(b *testing.B) {
	dir, err := scratchSubdir("http")
	if err != nil {
		b.Fatal(err)
	}
	for _, app := range webApps(dir) {
		t := table{workload: app.name, guest: app.guest, guests: app.guests, runtimes: fewerServing}
		if app.first {
			t.runtimes = servingRuntimes
		}
		eachServing(b, t, func(b *testing.B, c cell[*servers]) {
			b.Run("app="+app.name, func(b *testing.B) {
				if app.sizes == nil {
					benchmarkHTTP(b, c, app.first)
					return
				}
				for _, size := range app.sizes {
					w, err := workload.Static(c.language, dir, size)
					if err != nil {
						b.Fatal(err)
					}
					b.Run("size="+byteSize(size), func(b *testing.B) {
						of := c
						of.workload = w // the image serves any file
						benchmarkHTTP(b, of, false)
					})
				}
			})
		})
	}
}

func benchmarkHTTP(b *testing.B, c cell[*servers], first bool) {
	for _, way := range ways(c.candidate, first, first) {
		rates := []float64{0}
		if first && way.net == "host" {
			rates = append(rates, *flagHTTPRate)
		}
		for _, rate := range rates {
			loop := "closed"
			if rate > 0 {
				loop = "open"
			}
			b.Run(way.String()+"/loop="+loop, func(b *testing.B) {
				lastingServed(b, c, way, visit{ask: func(svc runtime.Service) demand {
					d := exchanges(b, svc, c.workload)
					d.rate = rate
					return d
				}})
			})
		}
	}
}

// byteSize names a size as the article does.
func byteSize(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dMB", n>>20)
	}
	return fmt.Sprintf("%dKB", n>>10)
}
