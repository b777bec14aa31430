package measure_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A managed runtime is a container manager or nothing.
type managed struct {
	runtime.Runtime
	manager []string // the components that come with it
}

func hosts(t *testing.T) []managed {
	c := containerd.New(containerd.Options{})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return []managed{{native.New(), nil}, {runc.New(runc.Options{}), nil}, {c, []string{"shim", "daemon"}}}
}

var compiled = []string{"app-text", "app-heap", "app-jit", "app-anon", "libs"}
var interpreted = []string{"app-heap", "app-jit", "app-anon", "language", "libs"}

func TestProfileOfGuests(t *testing.T) {
	for _, r := range hosts(t) {
		for _, l := range []workload.Language{workload.C, workload.Go, workload.Node, workload.Python} {
			t.Run(r.Name()+"/"+string(l), func(t *testing.T) {
				w := workload.Hello(l)
				img, err := r.Prepare(t.Context(), w)
				orSkip(t, err)
				defer img.Close()
				inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
				if err != nil {
					t.Fatal(err)
				}
				defer inst.Close()
				opts := measure.ProfileOptions{Interpreted: l == workload.Node || l == workload.Python}
				names := compiled
				if opts.Interpreted {
					names = interpreted
				}
				parts := profile(t, inst.Scope(), opts, slices.Concat(names, r.manager)...)
				some := []string{"app-text", "app-anon"}
				if opts.Interpreted {
					some = []string{"app-heap", "app-anon", "language", "libs"}
				}
				if l == workload.Node {
					some = append(some, "app-jit")
				}
				for _, name := range slices.Concat(some, r.manager) {
					if parts[name] == 0 {
						t.Errorf("nothing in %s", name)
					}
				}
				if !opts.Interpreted && parts["libs"]+parts["app-jit"] > 16<<10 {
					t.Errorf("a static executable has libraries or compiled code: %v", parts)
				}
			})
		}
	}
}

// Servers as they are, of all languages that have one.
func TestProfileOfServers(t *testing.T) {
	for _, r := range hosts(t) {
		for _, l := range []workload.Language{workload.Go, workload.Node, workload.Python} {
			t.Run(r.Name()+"/"+string(l), func(t *testing.T) {
				w := workload.Hello(l)
				img, err := r.Runtime.(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{})
				orSkip(t, err)
				defer img.Close()
				svc, err := img.Serve(t.Context(), "", func(runtime.Phase, time.Time) {})
				if err != nil {
					t.Fatal(err)
				}
				defer svc.Close()
				if err := answers(t.Context(), svc, w); err != nil {
					t.Fatal(svc.Explain(err))
				}
				names := compiled
				if l != workload.Go {
					names = interpreted
				}
				profile(t, svc.Scope(), measure.ProfileOptions{Interpreted: l != workload.Go}, slices.Concat(names, r.manager)...)
			})
		}
	}
}

// answers returns when the service has answered rightly.
func answers(ctx context.Context, svc runtime.Service, w workload.Workload) error {
	for {
		resp, err := http.Post("http://"+svc.Address()+"/", "", strings.NewReader(string(w.Request())))
		if err == nil {
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return errors.Join(err, w.Check(b))
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-svc.Ended():
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// The text of a guest that nobody else runs is what is resident of its file.
func TestProfileOfText(t *testing.T) {
	for _, l := range []workload.Language{workload.C, workload.Go} {
		t.Run(string(l), func(t *testing.T) {
			shared, err := workload.Hello(l).Artifact(t.Context(), workload.Executable)
			orSkip(t, err)
			b, err := os.ReadFile(shared)
			if err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(t.TempDir(), "a guest (deleted)")
			if err := os.WriteFile(program, b, 0o755); err != nil {
				t.Fatal(err)
			}
			w := workload.Prebuilt{Label: "own", Ask: []byte("you"), Want: []byte("Hello, you!"), Files: map[workload.Form]string{workload.Executable: program}}
			img, err := native.New().Prepare(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
			if err != nil {
				t.Fatal(err)
			}
			defer inst.Close()
			parts := profile(t, inst.Scope(), measure.ProfileOptions{}, compiled...)
			p, err := procfs.NewProc(inst.Scope().Own[0])
			if err != nil {
				t.Fatal(err)
			}
			status, err := p.NewStatus()
			if err != nil {
				t.Fatal(err)
			}
			if got := parts["app-text"]; !closeTo(got, int64(status.RssFile), 0.1) {
				t.Errorf("%d bytes of text, %d of files are resident", got, status.RssFile)
			}
		})
	}
}

// What Node.js says of its heap bounds what becomes resident of it.
func TestProfileOfV8(t *testing.T) {
	node, _, err := workload.Interpreter(t.Context(), workload.Node)
	orSkip(t, err)
	script := filepath.Join(t.TempDir(), "heap.cjs")
	if err := os.WriteFile(script, []byte(`
const held = [];
for (let i = 0; i < +process.argv[2]; i++) held.push({ i, a: [i, i + 1] });
process.stdin.on('data', () => {}).on('end', () => process.exit(held.length < 0 ? 1 : 0));
console.log(process.memoryUsage().heapTotal + '\nplanted');
`), 0o644); err != nil {
		t.Fatal(err)
	}
	names := []string{"app-heap", "app-jit", "app-anon", "v8-heap", "language", "libs"}
	var anon []int64
	for _, objects := range []string{"0", "300000"} {
		pid, said := startPlanter(t, node, script, objects)
		total, err := strconv.ParseInt(said[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		scope := runtime.Scope{Own: []int{pid}}
		parts := profile(t, scope, measure.ProfileOptions{Interpreted: true, V8Heap: total}, names...)
		if heap := parts["v8-heap"]; heap > total+total/8+1<<20 || heap < total/2 {
			t.Errorf("of a heap of %d bytes %d are resident", total, heap)
		}
		anon = append(anon, parts["app-anon"])
		// A heap that is nothing like what is there is not told apart.
		without := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "v8-heap" })
		all := profile(t, scope, measure.ProfileOptions{Interpreted: true, V8Heap: 1 << 34}, without...)
		if got := all["app-anon"]; !closeTo(got, parts["app-anon"]+parts["v8-heap"], 0.02) {
			t.Errorf("app-anon has %d bytes without v8-heap, with it %v", got, parts)
		}
	}
	if grown := anon[1] - anon[0]; grown > 16<<20 {
		t.Errorf("objects have grown app-anon by %d bytes", grown)
	}
}
