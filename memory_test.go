package wasmbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// principal are the runtimes that differ in what they keep in memory: when a
// module is compiled shows in its start.
var principal = []string{"native", "wazero", "wazero-embedded", "wasmtime", "wasmtime-embedded", "wasmedge", "wasmedge-embedded", "spin", "runc", "containerd", "docker", "containerd-wasmtime"}

// BenchmarkMemory is the article's memory footprint with its two profiles: what
// one instance takes that has answered and has settled, and what that consists
// of. Node.js guests are HTTP servers, as the article's is. total-B is the PSS of
// the instance's own processes (pss-B) and of the daemons that it needs, and what
// the kernel's memory has grown by; the components add up to it.
func BenchmarkMemory(b *testing.B) {
	t := table{workload: "hello", guest: hello, guests: []workload.Language{workload.C, workload.Go, workload.Node, workload.Python}, runtimes: principal}
	eachCell(b, t, prepareResident, func(b *testing.B, c cell[io.Closer]) {
		lasting(b, func() []measure.Metric {
			before, err := measure.ReadHostMemory(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			r := bringUp(b, c)
			defer closeInstance(b, r)
			metrics, err := profile(b.Context(), c, r, before)
			if err != nil {
				b.Fatal(err)
			}
			return metrics
		})
	})
}

// lasting makes a benchmark of a measurement that takes its time and is made
// once, however often testing would have it. Replication is by -count and by
// processes.
func lasting(b *testing.B, f func() []measure.Metric) {
	if b.N == 1 {
		_, suite.midLine = suite.begun[b.Name()]
		suite.begun[b.Name()] = true
		suite.lasting = f()
	}
	report(b, 1, suite.lasting)
	if !hasTime(suite.lasting) {
		b.ReportMetric(0, "ns/op") // there is no operation that has a time
	}
}

func hasTime(metrics []measure.Metric) bool {
	for _, m := range metrics {
		if m.Unit == "ns/op" {
			return true
		}
	}
	return false
}

// prepareResident prepares a guest in the form in which its memory is measured.
func prepareResident(ctx context.Context, c *candidate, w workload.Workload) (io.Closer, error) {
	if g, ok := w.(*workload.Guest); ok && onV8(g.Language()) {
		return prepareServer(ctx, c, w)
	}
	return prepareImage(ctx, c, w)
}

func onV8(l workload.Language) bool { return l == workload.Node || l == workload.NodeJitless }

// resident is an instance or a service that has answered.
type resident interface {
	Scope() runtime.Scope
	io.Closer
}

// bringUp starts one instance or service of a cell and has it answer.
func bringUp(b *testing.B, c cell[io.Closer]) resident {
	b.Helper()
	ctx, cancel := context.WithTimeoutCause(b.Context(), *flagOpLimit, &measure.LimitError{Limit: *flagOpLimit})
	defer cancel()
	var r resident
	var err error
	switch img := c.image.(type) {
	case runtime.Image:
		r, _, err = runtime.FirstAnswer(ctx, img, c.workload.Request(), c.workload.Check)
	case runtime.ServerImage:
		r, _, err = measure.FirstResponse(ctx, img, c.workload)
	}
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// profile reads what a resident instance takes.
func profile(ctx context.Context, c cell[io.Closer], r resident, before measure.HostMemory) ([]measure.Metric, error) {
	scope := r.Scope()
	opts := measure.ProfileOptions{Interpreted: c.language.Interpreted()}
	if svc, ok := r.(runtime.Service); ok && onV8(c.language) {
		heap, err := v8Heap(ctx, svc)
		if err != nil {
			return nil, err
		}
		opts.V8Heap = heap
	}
	held, err := measure.Hold(ctx, 1, scope, before, measure.SettleOptions{Window: *flagSettle})
	if err != nil {
		return nil, err
	}
	var regions []runtime.Region
	if m, ok := r.(runtime.Mapper); ok {
		if regions, err = m.Regions(ctx); err != nil {
			return nil, err
		}
	}
	components, err := measure.Profile(ctx, scope, regions, opts)
	if err != nil {
		return nil, err
	}
	own := held.Usage.Own
	metrics := append(held.Metrics(),
		measure.Metric{Value: float64(own.RSS), Unit: "rss-B"}, measure.Metric{Value: float64(own.VMS), Unit: "vms-B"},
		measure.Metric{Value: float64(own.Shared), Unit: "shared-B"}, measure.Metric{Value: float64(own.Private), Unit: "private-B"})
	for _, part := range components {
		metrics = append(metrics, measure.Metric{Value: float64(part.Bytes), Unit: part.Name + "-B"})
	}
	if scope.Cgroup != "" {
		u, err := measure.CgroupMemory.Read(ctx, scope)
		if err != nil {
			return nil, err
		}
		for unit, bytes := range map[string]int64{"cgroup-B": u.Cgroup.Usage, "cgroup-peak-B": u.Cgroup.Peak, "cgroup-kernel-B": u.Cgroup.Kernel} {
			if bytes > 0 { // else this kernel does not tell
				metrics = append(metrics, measure.Metric{Value: float64(bytes), Unit: unit})
			}
		}
		if layered, ok := c.workload.(workload.Layered); ok {
			if dir, _, err := layered.Base(ctx); err == nil && dir != "" {
				size, err := cache.Size(dir)
				if err != nil {
					return nil, err
				}
				metrics = append(metrics, measure.Metric{Value: float64(size), Unit: "base-os-B"})
			}
		}
	}
	return metrics, nil
}

// v8Heap asks a Node.js server how large V8 has made its heap, in bytes.
func v8Heap(ctx context.Context, svc runtime.Service) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+svc.Address()+"/memory", nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, svc.Explain(err)
	}
	defer response.Body.Close()
	var usage struct{ HeapTotal int64 }
	if err := json.NewDecoder(response.Body).Decode(&usage); err != nil || response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("asking Node.js for its memory: status %s: %w", response.Status, errors.Join(err))
	}
	return usage.HeapTotal, nil
}
