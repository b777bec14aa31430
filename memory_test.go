package wasmbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkMemory is the article's memory footprint with its two profiles: what
// one instance takes that has answered and has settled, and what that consists
// of. Node.js guests are HTTP servers, as the article's is. total-B is the PSS of
// the instance's own processes (pss-B) and of the daemons that it needs, and what
// the kernel's memory has grown by; the components add up to it.
func BenchmarkMemory(b *testing.B) {
	findKernelFloor(b)
	t := startTable
	t.runtimes = principal
	t.guests = []workload.Language{workload.C, workload.Node, workload.Python}
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
				absent(b, c.language, c.Name(), err)
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
		_, suite.midLine = suite.lasting[b.Name()]
		suite.lasting[b.Name()] = nil
		suite.lasting[b.Name()] = f()
		// What ends before its benchtime is made to run again, and with b.N set
		// to 1 each time without end.
		if rest := suite.benchtime - b.Elapsed(); rest > 0 {
			time.Sleep(rest)
		}
	}
	metrics := suite.lasting[b.Name()]
	report(b, 1, metrics)
	if !hasTime(metrics) {
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
	if onV8(w) {
		return prepareServer(ctx, c, w)
	}
	return prepareImage(ctx, c, w)
}

func onV8(w workload.Workload) bool {
	g, ok := w.(*workload.Guest)
	return ok && (g.Language() == workload.Node || g.Language() == workload.NodeJitless)
}

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
	if onV8(c.workload) {
		r, _, err = measure.FirstResponse(ctx, c.image.(runtime.ServerImage), c.workload)
	} else {
		r, _, err = runtime.FirstAnswer(ctx, c.image.(runtime.Image), c.workload.Request(), c.workload.Check)
	}
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// profile reads what a resident instance takes.
func profile(ctx context.Context, c cell[io.Closer], r resident, before measure.HostMemory) ([]measure.Metric, error) {
	scope := r.Scope()
	service, _ := r.(runtime.Service)
	if onV8(c.workload) {
		if _, err := v8Heap(ctx, service); err != nil { // to be asked is not to be seen in what follows
			return nil, err
		}
	}
	held, err := measure.Hold(ctx, 1, scope, before, holdOptions())
	if err != nil {
		return nil, err
	}
	opts := measure.ProfileOptions{Interpreted: c.language.Interpreted()}
	if onV8(c.workload) {
		if opts.V8Heap, err = v8Heap(ctx, service); err != nil {
			return nil, err
		}
	}
	if m, ok := r.(runtime.Mapper); ok {
		opts.Engine = true
		if opts.Regions, err = m.Regions(ctx); err != nil {
			return nil, err
		}
	}
	opts.Engine = opts.Engine || slices.Contains([]string{"spin", "containerd-wasmtime"}, c.Name()) // which tell nothing
	components, err := measure.Profile(ctx, scope, opts)
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
	if scope.Cgroup == "" {
		return metrics, nil
	}
	container, err := ofContainer(ctx, c, scope)
	return append(metrics, container...), err
}

// ofContainer reads what the kernel charges a container's cgroup, where it
// tells, and what its base takes on disk.
func ofContainer(ctx context.Context, c cell[io.Closer], scope runtime.Scope) (metrics []measure.Metric, err error) {
	u, err := measure.CgroupMemory.Read(ctx, scope)
	if errors.As(err, new(*runtime.Unavailable)) {
		comment("no cgroup-B of %s: %s", c.Name(), oneLine(err.Error()))
	} else if err != nil {
		return nil, err
	}
	for _, m := range []measure.Metric{
		{Value: float64(u.Cgroup.Usage), Unit: "cgroup-B"},
		{Value: float64(u.Cgroup.Peak), Unit: "cgroup-peak-B"},
		{Value: float64(u.Cgroup.Kernel), Unit: "cgroup-kernel-B"},
	} {
		if m.Value > 0 { // else this kernel does not tell
			metrics = append(metrics, m)
		}
	}
	layered, ok := c.workload.(workload.Layered)
	if !ok {
		return metrics, nil
	}
	dir, _, err := layered.Base(ctx)
	if err != nil || dir == "" {
		return metrics, err
	}
	size, err := cache.Size(dir)
	return append(metrics, measure.Metric{Value: float64(size), Unit: "base-os-B"}), err
}

// holdOptions say when memory is read.
func holdOptions() measure.HoldOptions {
	return measure.HoldOptions{Settle: measure.SettleOptions{Window: *flagSettle}, KernelFloor: suite.kernelFloor}
}

// findKernelFloor reads once a run by how much the kernel's memory moves while
// nothing is measured.
func findKernelFloor(b *testing.B) {
	if suite.kernelFloor > 0 {
		return
	}
	floor, err := measure.KernelFloor(b.Context(), *flagSettle)
	if err != nil {
		b.Fatal(err)
	}
	suite.kernelFloor = floor
	comment("the kernel's memory moves by %d bytes in %v while nothing is measured: kernel-B is left out below that", floor, *flagSettle)
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
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("asking Node.js for its memory at /memory: status %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&usage); err != nil {
		return 0, fmt.Errorf("asking Node.js for its memory: %w", err)
	}
	return usage.HeapTotal, nil
}
