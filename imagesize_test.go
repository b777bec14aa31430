package wasmbench

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkImageSize is the article's image size and optimisation: the hello service
// built in each of the ways that are to make an image small, as package workload
// tells. A container manager has a distribution's base, the parts of one that are
// needed (multistage), nothing else but the program and what it links (distroless), and
// that stripped. A module is the plain build, with names and debug information, one
// built and optimised for size, one that is stripped, on an engine that compiles it at the start or
// interprets it, and, with step=aot, what an engine has compiled of the last ahead.
//
// Each is started before its size counts, and ns/op is the time to its first checked
// response, as in BenchmarkFirstRequest; pss-B is what the service has in memory after
// that. image-B is what an image has in files, a shared base in full, and compressed-B what a
// registry would keep of it; saved-% is by how much image-B is less than that of the
// guest's base there. Without an engine a module does not run: host-B is that of the program
// which serves it and the libraries that this links.
func BenchmarkImageSize(b *testing.B) {
	t := table{workload: "hello", guests: []workload.Language{workload.C, workload.Go, workload.Node},
		runtimes: []string{"wazero", "wasmtime", "wasmtime-jit", "wasmedge", "containerd"},
		guest: func(l workload.Language) (workload.Workload, error) {
			return workload.Shrink(l, workload.StepBase), nil
		},
	}
	eachCell(b, t, startable, func(b *testing.B, c cell[nothing]) {
		if c.language != workload.Go && contains(c.Name()) != (c.language == workload.Node) {
			return // guest c has no server, and node no module
		}
		for _, step := range stepsOn(c.Name()) {
			b.Run("step="+string(step), func(b *testing.B) { benchmarkStep(b, c, step) })
		}
	})
}

// nothing is what is prepared of a cell whose images are made one by one.
type nothing struct{}

func (nothing) Close() error { return nil }

// prepareNothing leaves that to the benchmark.
func prepareNothing(context.Context, *candidate, workload.Workload) (nothing, error) {
	return nothing{}, nil
}

// startable returns an error where no step of a guest can be started on a runtime.
func startable(_ context.Context, c *candidate, w workload.Workload) (nothing, error) {
	if len(stepsOn(c.Name())) == 0 {
		return nothing{}, &runtime.Unavailable{What: "a small image on " + c.Name(), Why: "there is no such step", Fix: "choose a container manager, or an engine with a process for each instance", Err: workload.ErrNoForm}
	}
	return nothing{}, nil
}

// stepsOn returns the steps whose artefacts run on a runtime: what is compiled ahead
// on an engine that does so, and modules on one that has nothing else.
func stepsOn(name string) []workload.Step {
	switch name {
	case "runc", "containerd", "docker":
		return []workload.Step{workload.StepBase, workload.StepMultistage, workload.StepDistroless, workload.StepStrip}
	case "wazero", "wasmtime", "wasmedge":
		return []workload.Step{workload.StepAOT}
	case "wazero-jit", "wazero-interp", "wasmtime-jit", "wasmedge-interp":
		return []workload.Step{workload.StepBase, workload.StepSize, workload.StepStrip}
	}
	return nil
}

func benchmarkStep(b *testing.B, c cell[nothing], step workload.Step) {
	w := workload.Shrink(c.language, step)
	img, err := prepareCell(b.Context(), c.candidate, w, prepareServer)
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	defer closeInstance(b, img)
	opts := measure.StartOptions{Limit: *flagOpLimit}
	if _, err := measure.FirstRequests(b.Context(), img, w, *flagWarmups, opts); err != nil {
		b.Fatal(err)
	}
	opts.Budget = *flagBudget
	b.ResetTimer()
	requests, err := measure.FirstRequests(b.Context(), img, w, b.N, opts)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	sizes, err := shrunk(b.Context(), c, img, w)
	if err != nil {
		absent(b, c.language, c.Name(), err)
	}
	pss, err := afterFirst(b, img, w)
	if err != nil {
		b.Fatal(err)
	}
	report(b, len(requests), slices.Concat(measure.StartMetrics(requests), sizes, []measure.Metric{pss}))
}

// shrunk returns the sizes of an image, and what it saves.
func shrunk(ctx context.Context, c cell[nothing], img runtime.ServerImage, w *workload.Shrunk) ([]measure.Metric, error) {
	sizes := imageSizes
	if _, ok := img.(runtime.Shipped); ok {
		sizes = moduleSizes
	}
	size, base, err := sizes(ctx, img, w, workload.Shrink(c.language, workload.StepBase))
	if err != nil {
		return nil, err
	}
	metrics := []measure.Metric{
		{Value: float64(size.Unpacked), Unit: "image-B"}, {Value: float64(size.Compressed), Unit: "compressed-B"},
		{Value: 100 * (1 - float64(size.Unpacked)/float64(base.Unpacked)), Unit: "saved-%"},
	}
	if shipped, ok := img.(runtime.Shipped); ok {
		programs, err := shipped.HostFiles(ctx)
		if err != nil {
			return nil, err
		}
		host, err := oci.MeasureFiles(ctx, programs...)
		if err != nil {
			return nil, err
		}
		metrics = append(metrics, measure.Metric{Value: float64(host.Unpacked), Unit: "host-B"})
	}
	return metrics, nil
}

// imageSizes returns the sizes of a container's image and of that of the plain build.
func imageSizes(ctx context.Context, _ runtime.ServerImage, w, plain *workload.Shrunk) (size, base oci.Sizes, err error) {
	if size, err = layersOf(ctx, w); err == nil {
		base, err = layersOf(ctx, plain)
	}
	return size, base, err
}

// moduleSizes returns those of what an engine starts and of the plain module.
func moduleSizes(ctx context.Context, img runtime.ServerImage, _, plain *workload.Shrunk) (size, base oci.Sizes, err error) {
	module, err := plain.Artifact(ctx, workload.Reactor)
	if err != nil {
		return size, base, err
	}
	if size, err = oci.MeasureFiles(ctx, img.(runtime.Shipped).Files()...); err == nil {
		base, err = oci.MeasureFiles(ctx, module)
	}
	return size, base, err
}

// layersOf returns the sizes of a container's image.
func layersOf(ctx context.Context, w workload.Workload) (oci.Sizes, error) {
	trees, err := oci.Trees(ctx, w, workload.ServerRootFS)
	if err != nil {
		return oci.Sizes{}, err
	}
	return oci.Measure(ctx, trees...)
}

// afterFirst returns what the own processes of a service have in memory when it has
// answered once and has settled.
func afterFirst(b *testing.B, img runtime.ServerImage, w workload.Workload) (measure.Metric, error) {
	const window = 300 * time.Millisecond
	svc := serve(b, img, w)
	defer closeInstance(b, svc)
	ctx, cancel := limited(b)
	defer cancel()
	s, err := measure.Settle(ctx, func(ctx context.Context) (int64, error) {
		u, err := measure.Memory.Read(ctx, svc.Scope())
		return u.Own.PSS, err
	}, measure.SettleOptions{Window: min(window, *flagSettle)})
	return measure.Metric{Value: float64(s.Value), Unit: "pss-B"}, err
}
