package wasmbench

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkImageSize is the article's image size and optimisation: the hello service
// built in each of the ways that are to make an image small, as package workload
// tells. A container manager has a distribution's base, the parts of one that are
// needed (multistage), nothing else but the program and what it links (distroless), and
// that stripped; by default the first and the third. A module is the plain build, with names and debug information, one
// built and optimised for size, one that is stripped, on an engine that compiles it at the start or
// interprets it, and, with step=aot, what an engine has made of the stripped one ahead.
//
// Each is started before its size counts, and ns/op is the time to its first checked
// response, as in BenchmarkFirstRequest; pss-B is what the service has in memory after
// that. image-B is what an image has in files, a shared base in full, and compressed-B what a
// registry would keep of it; saved-% is by how much image-B is less than that of the
// guest's base there. Without an engine a module does not run: host-B is that of the program
// which serves it and the libraries that this links.
func BenchmarkImageSize(b *testing.B) {
	t := table{workload: "hello", guests: []workload.Language{workload.C, workload.Go, workload.Node},
		runtimes: []string{"wazero", "wasmtime", "wasmtime-jit", "containerd"},
		without:  map[workload.Language][]string{workload.Go: {"wasmtime-jit"}}, // which compiles its modules for seconds at each start
		guest: func(l workload.Language) (workload.Workload, error) {
			return workload.Shrink(l, workload.StepBase), nil
		},
	}
	eachCell(b, t, prepareBase, func(b *testing.B, c cell[nothing]) {
		for _, step := range stepsOn(c.Name()) {
			if !stepWanted(c.Name(), c.language, step) {
				once("# left out %s/step=%s by default: -guests=%s asks for it\n", b.Name(), step, c.language)
				continue
			}
			k := &shrunk{cell: c, workload: workload.Shrink(c.language, step)}
			b.Run("step="+string(step), k.measure)
			k.close(b)
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

// prepareBase makes the plain build, which every step of a guest is compared with, and
// returns an error where none of them is to be had.
func prepareBase(ctx context.Context, c *candidate, w workload.Workload) (nothing, error) {
	form := workload.Reactor
	switch {
	case c.err != nil:
		return nothing{}, c.err
	case len(stepsOn(c.Name())) == 0:
		return nothing{}, &runtime.Unavailable{What: "a small image on " + c.Name(), Why: "there is no such step", Fix: "choose a container manager, or an engine with a process for each instance", Err: workload.ErrNoForm}
	case contains(c.Name()):
		form = workload.ServerRootFS
	}
	_, err := w.Artifact(ctx, form)
	return nothing{}, err
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

// between are the steps of containers that a default run leaves out: each image takes seconds to
// unpack.
var between = []workload.Step{workload.StepMultistage, workload.StepStrip}

// stepWanted tells whether a step is measured: one that a default run leaves out with
// -article, or where a flag names the guest or asks for every cell.
func stepWanted(runtime string, l workload.Language, s workload.Step) bool {
	byDefault := *flagArticle || slices.Contains(list(*flagRuntimes), allCells) || !contains(runtime) || !slices.Contains(between, s)
	return byDefault || wanted(*flagGuests, string(l), false)
}

// A shrunk is the image of a step on a runtime, made at the first measurement.
type shrunk struct {
	cell     cell[nothing]
	workload *workload.Shrunk
	image    runtime.ServerImage
	metrics  []measure.Metric // of the image, and of one service
}

// measure makes b.N starts.
func (k *shrunk) measure(b *testing.B) {
	if k.image == nil {
		if err := k.prepare(b); err != nil {
			absent(b, k.cell.language, k.cell.Name(), err)
		}
	}
	opts := measure.StartOptions{Limit: *flagOpLimit}
	if _, err := measure.FirstRequests(b.Context(), k.image, k.workload, *flagWarmups, opts); err != nil {
		b.Fatal(err)
	}
	opts.Budget = *flagBudget
	b.ResetTimer()
	requests, err := measure.FirstRequests(b.Context(), k.image, k.workload, b.N, opts)
	if err != nil {
		b.Fatal(err)
	}
	report(b, len(requests), append(measure.StartMetrics(requests), k.metrics...))
}

// prepare makes the image and reads what does not vary from start to start.
func (k *shrunk) prepare(b *testing.B) error {
	img, err := prepareCell(b.Context(), k.cell.candidate, k.workload, prepareServer)
	if err != nil {
		return err
	}
	k.image = img
	if d, ok := img.(interface{ Digest() string }); ok {
		_, origin, err := k.workload.Base(b.Context())
		if err != nil {
			return err
		}
		comment("image guest=%s step=%s runtime=%s: %s, on %s", k.cell.language, k.workload.Step(), k.cell.Name(), d.Digest(), origin)
	}
	sizes, err := k.sizes(b.Context())
	if err != nil {
		return err
	}
	unix.Sync() // what was unpacked is not to be written while the first are started
	pss, err := afterFirst(b, img, k.workload)
	k.metrics = append(sizes, pss)
	return err
}

func (k *shrunk) close(b *testing.B) {
	if k.image != nil {
		closeInstance(b, k.image)
	}
}

// sizes returns those of the image, and what it saves.
func (k *shrunk) sizes(ctx context.Context) ([]measure.Metric, error) {
	read := imageSizes
	shipped, isModule := k.image.(runtime.Shipped)
	if isModule {
		read = moduleSizes
	}
	size, base, err := read(ctx, k.image, k.workload, workload.Shrink(k.cell.language, workload.StepBase))
	if err != nil {
		return nil, err
	}
	metrics := []measure.Metric{
		{Value: float64(size.Unpacked), Unit: "image-B"}, {Value: float64(size.Compressed), Unit: "compressed-B"},
		{Value: 100 * (1 - float64(size.Unpacked)/float64(base.Unpacked)), Unit: "saved-%"},
	}
	if !isModule {
		return metrics, nil
	}
	programs, err := shipped.HostFiles(ctx)
	if err != nil {
		return nil, err
	}
	host := int64(0)
	for _, file := range programs {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		host += info.Size()
	}
	return append(metrics, measure.Metric{Value: float64(host), Unit: "host-B"}), nil
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
