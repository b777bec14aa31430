package wasmbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A table says which cells a benchmark has: the guests of a workload on the
// runtimes.
type table struct {
	workload string
	guest    func(workload.Language) (workload.Workload, error)

	// What is measured by default, nil for all; -guests and -runtimes choose
	// otherwise.
	guests   []workload.Language
	runtimes []string
	without  map[workload.Language][]string // runtimes that a guest is not measured on by default

	// as returns what stands in for a runtime in this table; nil is itself.
	as func(*candidate) *candidate
}

// compiledForMinutes has what no table measures by default but with -article: WasmEdge compiles each module
// that Go has made for more than a minute.
var compiledForMinutes = map[workload.Language][]string{workload.Go: {"wasmedge", "wasmedge-embedded"}}

// byDefault tells whether a table measures a guest on a runtime unless it is told
// otherwise.
func (t table) byDefault(l workload.Language, runtime string) bool {
	return t.has(runtime) && !slices.Contains(t.without[l], runtime) && (*flagArticle || !slices.Contains(compiledForMinutes[l], runtime))
}

// has tells whether a table has a runtime by default, for some guest.
func (t table) has(runtime string) bool {
	return len(t.runtimes) == 0 || slices.Contains(t.runtimes, runtime)
}

// allCells is the value of -guests and -runtimes that asks for every cell, also of a
// table that has fewer by default.
const allCells = "all"

// languages returns the guests that are to be measured, of those that a table
// has by default.
func languages(flagged string, byDefault []workload.Language) []workload.Language {
	return slices.DeleteFunc(workload.Languages(), func(l workload.Language) bool {
		return !wanted(flagged, string(l), len(byDefault) == 0 || slices.Contains(byDefault, l))
	})
}

// wanted tells whether a list that a flag has names a thing, or else whether it
// is there by default.
func wanted(flagged, name string, byDefault bool) bool {
	given := list(flagged)
	if len(given) == 0 {
		return byDefault
	}
	return slices.Contains(given, allCells) || slices.Contains(given, name)
}

// candidates returns the runtimes that a guest is to be measured on in random order, so
// that what drifts while the suite runs is no runtime's advantage.
func (t table) candidates(l workload.Language) []*candidate {
	cs := slices.DeleteFunc(slices.Clone(suite.candidates), func(c *candidate) bool {
		return !wanted(*flagRuntimes, c.Name(), t.byDefault(l, c.Name()))
	})
	if t.as != nil {
		for i, c := range cs {
			cs[i] = t.as(c)
		}
	}
	suite.order.Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })
	return cs
}

// A default run is short; a flag that names a runtime brings back all of it.
func TestByDefault(t *testing.T) {
	all := table{}
	some := table{runtimes: []string{"native", "wazero", "wasmedge"}, without: map[workload.Language][]string{workload.Go: {"wazero"}}}
	for _, tt := range []struct {
		of      table
		guest   workload.Language
		runtime string
		want    bool
	}{
		{all, workload.C, "wasmedge", true},
		{all, workload.Go, "wasmedge", false},
		{all, workload.Go, "wasmedge-interp", true},
		{all, workload.Go, "wazero", true},
		{some, workload.C, "wazero", true},
		{some, workload.Go, "wazero", false},
		{some, workload.Go, "wasmedge", false},
		{some, workload.C, "docker", false},
		{some, workload.Go, "native", true},
	} {
		if got := tt.of.byDefault(tt.guest, tt.runtime); got != tt.want {
			t.Errorf("%v, guest %s on %s: %v", tt.of.runtimes, tt.guest, tt.runtime, got)
		}
	}
}

func TestStepWanted(t *testing.T) {
	guests, runtimes, article := *flagGuests, *flagRuntimes, *flagArticle
	defer func() { *flagGuests, *flagRuntimes, *flagArticle = guests, runtimes, article }()
	for _, tt := range []struct {
		guests, runtimes string
		article          bool
		runtime          string
		step             workload.Step
		want             bool
	}{
		{"", "", false, "containerd", workload.StepBase, true},
		{"", "", false, "containerd", workload.StepStrip, false},
		{"", "", false, "containerd", workload.StepMultistage, false},
		{"", "", false, "wasmtime-jit", workload.StepStrip, true},
		{"", "", true, "containerd", workload.StepStrip, true},
		{"go", "", false, "containerd", workload.StepStrip, true},
		{"all", "", false, "containerd", workload.StepStrip, true},
		{"node", "", false, "containerd", workload.StepStrip, false},
		{"", "all", false, "containerd", workload.StepStrip, true},
		{"", "containerd", false, "containerd", workload.StepStrip, false},
	} {
		*flagGuests, *flagRuntimes, *flagArticle = tt.guests, tt.runtimes, tt.article
		if got := stepWanted(tt.runtime, workload.Go, tt.step); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// leftOut tells what a table could have too.
func (t table) leftOut(b *testing.B) {
	var names []string
	if *flagGuests == "" {
		for _, l := range workload.Languages() {
			if len(t.guests) > 0 && !slices.Contains(t.guests, l) {
				names = append(names, "-guests="+string(l))
			}
		}
	}
	if *flagRuntimes == "" {
		for _, c := range suite.candidates {
			if !t.has(c.Name()) {
				names = append(names, "-runtimes="+c.Name())
				continue
			}
			for _, l := range languages(*flagGuests, t.guests) {
				if !t.byDefault(l, c.Name()) {
					names = append(names, "-guests="+string(l)+" -runtimes="+c.Name())
				}
			}
		}
	}
	if len(names) > 0 {
		once("# left out of %s by default: %s; the value %s asks for every one\n", b.Name(), strings.Join(names, " "), allCells)
	}
}

// A cell is one guest on one runtime, with what was prepared of it.
type cell[I io.Closer] struct {
	*candidate
	language workload.Language
	workload workload.Workload
	image    I
}

// eachImage runs f for every cell of a table, with the guest prepared there
// once.
func eachImage(b *testing.B, t table, f func(*testing.B, cell[runtime.Image])) {
	eachCell(b, t, prepareImage, f)
}

// eachServer is eachImage for guests that serve.
func eachServer(b *testing.B, t table, f func(*testing.B, cell[runtime.ServerImage])) {
	eachCell(b, t, prepareServer, f)
}

func prepareImage(ctx context.Context, c *candidate, w workload.Workload) (runtime.Image, error) {
	return c.Prepare(ctx, w)
}

func prepareServer(ctx context.Context, c *candidate, w workload.Workload) (runtime.ServerImage, error) {
	server, ok := c.Runtime.(runtime.Server)
	if !ok {
		return nil, &runtime.Unavailable{What: "runtime " + c.Name() + " as a server", Why: "it cannot serve", Fix: "choose another runtime", Err: workload.ErrNoForm}
	}
	return server.PrepareServer(ctx, w, runtime.ServeOptions{Pool: *flagServePool})
}

// eachCell runs f for every cell of a table, with what prepare makes of it,
// once each. What is absent is said in a comment and skipped, or fails where it
// is required.
func eachCell[I io.Closer](b *testing.B, t table, prepare func(context.Context, *candidate, workload.Workload) (I, error), f func(*testing.B, cell[I])) {
	t.leftOut(b)
	b.Run("workload="+t.workload, func(b *testing.B) {
		for _, l := range languages(*flagGuests, t.guests) {
			b.Run("guest="+string(l), func(b *testing.B) {
				w, err := t.guest(l)
				switch {
				case errors.As(err, new(*runtime.Unavailable)):
					once("# absent guest=%s: %s\n", l, oneLine(err.Error()))
					b.Skip(err)
				case err != nil:
					b.Fatal(err)
				}
				for _, c := range t.candidates(l) {
					var made []I
					prepared := sync.OnceValue(func() error {
						progress("%s/runtime=%s", b.Name(), c.Name())
						img, err := prepareOnce(b.Context(), fmt.Sprintf("%T %s %s %s", made, c.Name(), w.Name(), l), c, w, prepare)
						if err == nil {
							made = append(made, img)
							describe(b.Context(), l, c.Name(), w, img)
						}
						return err
					})
					b.Run("runtime="+c.Name(), func(b *testing.B) {
						if err := prepared(); err != nil {
							absent(b, l, c.Name(), err)
						}
						f(b, cell[I]{c, l, w, made[0]})
					})
					flushComments()
					for _, img := range made {
						if kept(img) {
							continue
						}
						if err := img.Close(); err != nil {
							b.Errorf("closing the image of %s: %v", c.Name(), err)
						}
					}
				}
			})
		}
	})
}

// kept tells whether an image stays prepared until the run ends. Those of
// container managers do: they use nothing but disk, and to unpack an interpreter
// with its distribution for each benchmark takes seconds.
func kept(img any) bool {
	_, ok := img.(interface{ Digest() string })
	return ok
}

// prepareOnce prepares what is not kept already under that name.
func prepareOnce[I io.Closer](ctx context.Context, name string, c *candidate, w workload.Workload, prepare func(context.Context, *candidate, workload.Workload) (I, error)) (I, error) {
	if img, ok := suite.kept[name].(I); ok {
		return img, nil
	}
	img, err := prepareCell(ctx, c, w, prepare)
	if err == nil && kept(img) {
		suite.kept[name] = img
	}
	return img, err
}

// prepareLimit is how long a guest may take to be compiled or unpacked.
const prepareLimit = 15 * time.Minute

func prepareCell[I io.Closer](ctx context.Context, c *candidate, w workload.Workload, prepare func(context.Context, *candidate, workload.Workload) (I, error)) (img I, err error) {
	if c.err != nil {
		return img, c.err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, prepareLimit, fmt.Errorf("preparing %s took over %v: %w", w.Name(), prepareLimit, context.DeadlineExceeded))
	defer cancel()
	twinCtx, cancelTwin := context.WithCancel(ctx)
	defer cancelTwin()
	wait := compileTwin(twinCtx, c.Name(), w)
	defer wait()
	if img, err = prepare(ctx, c, w); err != nil {
		cancelTwin()
	}
	return img, err
}

// twins are runtimes that compile the two forms of a guest, each for the other
// a sign that both will be wanted.
var twins = map[string]string{"wasmedge": "wasmedge-embedded", "wasmedge-embedded": "wasmedge"}

// compileTwin has the other form of a guest compiled into the cache meanwhile:
// WasmEdge takes a minute for one of a Go guest, on one processor. The function
// that it returns waits for it. What goes wrong is the twin's to report.
func compileTwin(ctx context.Context, name string, w workload.Workload) (wait func()) {
	var done sync.WaitGroup
	for _, c := range suite.candidates {
		if twins[name] != c.Name() || c.err != nil {
			continue
		}
		done.Go(func() {
			if img, err := c.Prepare(ctx, w); err == nil {
				img.Close()
			}
		})
	}
	return done.Wait
}

// absent ends a benchmark whose runtime or guest is not to be had here, and
// fails it for any other error. A guest that is not made for a runtime at all
// is no fault of the host's.
func absent(b *testing.B, l workload.Language, name string, err error) {
	var u *runtime.Unavailable
	if !errors.As(err, &u) || slices.Contains(suite.required, name) && !errors.Is(err, workload.ErrNoForm) {
		b.Fatal(err)
	}
	switch {
	case errors.Is(err, workload.ErrNoForm):
		once("# absent guest=%s: %s\n", l, oneLine(err.Error()))
	case !slices.ContainsFunc(suite.candidates, func(c *candidate) bool { return c.err == err }): // or it was said before the first line
		once("# absent guest=%s runtime=%s: %s\n", l, name, oneLine(err.Error()))
	}
	b.Skip(err)
}

// describe tells which content a container manager runs, and on what.
func describe(ctx context.Context, l workload.Language, name string, w workload.Workload, img any) {
	d, ok := img.(interface{ Digest() string })
	if !ok {
		return
	}
	once("# image guest=%s workload=%s runtime=%s: %s\n", l, w.Name(), name, d.Digest())
	if layered, ok := w.(workload.Layered); ok {
		if _, origin, err := layered.Base(ctx); err == nil && origin != "" {
			once("# guest %s in containers: on %s\n", l, origin)
		}
	}
}

// comment prints a comment, or keeps it until the line of the results that
// testing has begun has ended.
func comment(format string, args ...any) {
	suite.comments = append(suite.comments, fmt.Sprintf("# "+format+"\n", args...))
	if !suite.midLine {
		flushComments()
	}
}

func flushComments() {
	for _, c := range suite.comments {
		fmt.Print(c)
	}
	suite.comments, suite.midLine = nil, false
}

// once prints a comment if it has not been printed yet.
func once(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if _, before := said.LoadOrStore(line, true); !before {
		fmt.Print(line)
	}
}

var said sync.Map

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
