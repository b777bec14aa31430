package measure_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"os/exec"
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
	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// orSkip ends a test that needs what is not to be had here.
func orSkip(t *testing.T, err error) {
	t.Helper()
	if errors.As(err, new(*runtime.Unavailable)) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
}

func closeTo(got, want int64, share float64) bool {
	return math.Abs(float64(got-want)) <= share*float64(want)
}

// profile checks that the components are those that are named and add up to
// the processes' roll-ups, which are read by other means.
func profile(t *testing.T, scope runtime.Scope, regions []runtime.Region, opts measure.ProfileOptions, names ...string) map[string]int64 {
	t.Helper()
	settled := func(ctx context.Context) int64 {
		s, err := measure.Settle(ctx, func(context.Context) (int64, error) { return rollups(scope) }, measure.SettleOptions{Window: 100 * time.Millisecond})
		if err != nil || !s.OK {
			t.Fatalf("%+v, error %v", s, err)
		}
		return s.Value
	}
	var bytes map[string]int64
	var sum, after int64
	before := settled(t.Context())
	for range 10 { // other processes come and go, with which it shares pages
		parts, err := measure.Profile(t.Context(), scope, regions, opts)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		sum, bytes = 0, map[string]int64{}
		for _, c := range parts {
			got = append(got, c.Name)
			bytes[c.Name] = c.Bytes
			sum += c.Bytes
			if c.Bytes < 0 {
				t.Errorf("%s has %d bytes", c.Name, c.Bytes)
			}
		}
		if !slices.Equal(got, names) {
			t.Fatalf("components %v, want %v", got, names)
		}
		after = settled(t.Context())
		if closeTo(before, after, 0.005) && closeTo(sum, after, 0.02) {
			return bytes
		}
		before = after
	}
	t.Fatalf("%v are %d bytes, the processes have %d", bytes, sum, after)
	return nil
}

func rollups(scope runtime.Scope) (sum int64, err error) {
	for _, pid := range slices.Concat(scope.Own, scope.Shared) {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return 0, err
		}
		r, err := p.ProcSMapsRollup()
		if err != nil {
			return 0, err
		}
		sum += int64(r.Pss)
	}
	return sum, nil
}

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
				parts := profile(t, inst.Scope(), nil, opts, slices.Concat(names, r.manager)...)
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
				profile(t, svc.Scope(), nil, measure.ProfileOptions{Interpreted: l != workload.Go}, slices.Concat(names, r.manager)...)
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
			parts := profile(t, inst.Scope(), nil, measure.ProfileOptions{}, compiled...)
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

// planter is a program that takes its second argument in bytes of memory of the
// kind that the first one names, says so and waits.
const planter = `#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static void *map(size_t size, int prot, int flags, int file)
{
	void *p = mmap(NULL, size, prot, flags, file, 0);
	if (p == MAP_FAILED)
		exit(1);
	return p;
}

static pthread_barrier_t used;

static void *deep(void *size)
{
	volatile char b[*(size_t *)size];
	for (size_t i = sizeof b; i > 0; i -= 4096)
		b[i - 1] = 1;
	pthread_barrier_wait(&used);
	pause();
	return NULL;
}

static void shallow(size_t size)
{
	volatile char b[size];
	for (size_t i = size; i > 0; i -= 4096)
		b[i - 1] = 1;
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];
	size_t size = strtoul(argv[2], NULL, 10);
	int any = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE, pipes[2];
	char c;
	if (!strcmp(kind, "heap"))
		for (size_t i = 0; i < size; i += 8192)
			memset(malloc(8192 - 16), 1, 8192 - 16);
	else if (!strcmp(kind, "anon"))
		memset(map(size, rw, any, -1), 1, size);
	else if (!strcmp(kind, "jit"))
		memset(map(size, rw | PROT_EXEC, any, -1), 1, size);
	else if (!strcmp(kind, "memfd")) {
		int file = memfd_create("planted", 0);
		if (ftruncate(file, size))
			exit(1);
		memset(map(size, rw, MAP_SHARED, file), 1, size);
	} else if (!strcmp(kind, "file")) {
		volatile char *p = map(size, PROT_READ, MAP_SHARED, open(argv[3], O_RDONLY));
		for (size_t i = 0; i < size; i += 4096)
			(void)p[i];
	} else if (!strcmp(kind, "stack")) {
		struct rlimit any = {RLIM_INFINITY, RLIM_INFINITY};
		if (setrlimit(RLIMIT_STACK, &any))
			exit(1);
		shallow(size);
	} else if (!strcmp(kind, "thread")) {
		pthread_attr_t attr;
		pthread_t thread;
		pthread_barrier_init(&used, NULL, 2);
		pthread_attr_init(&attr);
		if (pthread_attr_setstacksize(&attr, size + (1 << 20)) || pthread_create(&thread, &attr, deep, &size))
			exit(1);
		pthread_barrier_wait(&used);
	} else if (!strcmp(kind, "child")) {
		if (pipe(pipes))
			exit(1);
		int pid = fork();
		if (pid == 0) {
			memset(map(size, rw, any, -1), 1, size);
			if (write(pipes[1], "x", 1) != 1)
				exit(1);
			exit(read(0, &c, 1) != 0);
		}
		if (read(pipes[0], &c, 1) != 1)
			exit(1);
		printf("%d\n", pid);
	}
	puts("planted");
	fflush(stdout);
	return read(0, &c, 1) != 0;
}
`

// startPlanter starts a command, which ends with its input or with the test, and
// returns the lines up to one that says planted.
func startPlanter(t *testing.T, program string, args ...string) (pid int, said []string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "planted" {
			return cmd.Process.Pid, said
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("%s said %q and ended", program, said)
	return 0, nil
}

// plantedBytes is much more than what a small process has by itself.
const plantedBytes = 32 << 20

// Memory that is planted in a guest or an engine shows where it belongs and nowhere else.
func TestProfileFindsPlantedMemory(t *testing.T) {
	cc, _, err := workload.CompilerC(t.Context())
	orSkip(t, err)
	dir := t.TempDir()
	source, program, file := filepath.Join(dir, "planter.c"), filepath.Join(dir, "planter"), filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(source, []byte(planter), 0o644), os.WriteFile(file, make([]byte, plantedBytes), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-O0", "-pthread", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	size := strconv.Itoa(plantedBytes)
	for kind, where := range map[string]struct{ guest, engine string }{
		"nothing": {}, "heap": {"app-heap", "engine"}, "anon": {"app-anon", "engine"}, "jit": {"app-jit", "code"},
		"memfd": {"app-anon", "engine"}, "file": {"libs", "engine"}, "child": {"app-anon", "engine"},
		"stack": {"app-anon", "stack"}, "thread": {"app-anon", "stack"},
	} {
		t.Run(kind, func(t *testing.T) {
			pid, said := startPlanter(t, program, kind, size, file)
			scope := runtime.Scope{Own: []int{pid}}
			for _, line := range said {
				child, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				scope.Own = append(scope.Own, child)
			}
			only := func(parts map[string]int64, where string) {
				for name, bytes := range parts {
					want := int64(0)
					if name == where {
						want = plantedBytes
					}
					if bytes < want || bytes > want+2<<20 {
						t.Errorf("%s has %d bytes, want %d", name, bytes, want)
					}
				}
			}
			only(profile(t, scope, nil, measure.ProfileOptions{}, compiled...), where.guest)
			only(profile(t, scope, []runtime.Region{}, measure.ProfileOptions{}, "linear", "code", "stack", "engine"), where.engine)
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
		parts := profile(t, scope, nil, measure.ProfileOptions{Interpreted: true, V8Heap: total}, names...)
		if heap := parts["v8-heap"]; heap > total+total/8+1<<20 || heap < total/2 {
			t.Errorf("of a heap of %d bytes %d are resident", total, heap)
		}
		anon = append(anon, parts["app-anon"])
		// A heap that is nothing like what is there is not told apart.
		without := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "v8-heap" })
		all := profile(t, scope, nil, measure.ProfileOptions{Interpreted: true, V8Heap: 1 << 34}, without...)
		if got := all["app-anon"]; !closeTo(got, parts["app-anon"]+parts["v8-heap"], 0.02) {
			t.Errorf("app-anon has %d bytes without v8-heap, with it %v", got, parts)
		}
	}
	if grown := anon[1] - anon[0]; grown > 16<<20 {
		t.Errorf("objects have grown app-anon by %d bytes", grown)
	}
}

// engines are all that tell where their instances lie.
func engines() []runtime.Runtime {
	return []runtime.Runtime{
		wazero.Precompiled(), wazero.Interpreter(), wazero.Embedded(),
		wasmtime.Precompiled(), wasmtime.JIT(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmtime.Embedded(wasmtime.EmbeddedOptions{API: wasmtime.Go}),
		wasmedge.Precompiled(), wasmedge.Interpreter(), wasmedge.Embedded(),
	}
}

// profileEngine profiles an instance that has answered or is ready, the second
// of an image whose instances share a process.
func profileEngine(t *testing.T, r runtime.Runtime, w workload.Workload) map[string]int64 {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	orSkip(t, err)
	defer img.Close()
	inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	defer inst.Close()
	if _, embedded := img.(runtime.StartTimer); embedded || w.Name() != "growing" {
		answer, err := inst.Call(t.Context(), w.Request())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Check(answer); err != nil {
			t.Fatal(err)
		}
	}
	regions, err := inst.(runtime.Mapper).Regions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return profile(t, inst.Scope(), regions, measure.ProfileOptions{}, "linear", "code", "stack", "engine")
}

func TestProfileOfEngines(t *testing.T) {
	for i, r := range engines() {
		t.Run(strconv.Itoa(i)+r.Name(), func(t *testing.T) {
			parts := profileEngine(t, r, workload.Hello(workload.C))
			interpreter := strings.HasSuffix(r.Name(), "-interp")
			if (parts["code"] == 0) != interpreter || parts["code"] > 1<<20 {
				t.Errorf("%d bytes of code", parts["code"])
			}
			// A guest of C has two pages of 64 KiB and writes a few KiB.
			if b := parts["linear"]; b == 0 || b > 128<<10 {
				t.Errorf("%d bytes of linear memory", b)
			}
			if b := parts["stack"]; b == 0 || b > 1<<20 {
				t.Errorf("%d bytes of stacks", b)
			}
			if b := parts["engine"]; b < 1<<20 { // it shares its text with others of its kind
				t.Errorf("%d bytes of engine", b)
			}
		})
	}
}

// What a module grows its memory by is linear memory to the byte.
func TestProfileFindsLinearMemory(t *testing.T) {
	for i, r := range engines() {
		t.Run(strconv.Itoa(i)+r.Name(), func(t *testing.T) {
			small := profileEngine(t, r, newGrowing(t, 0))
			large := profileEngine(t, r, newGrowing(t, plantedBytes>>16))
			// As all parts add up, no other has it. What they have else depends
			// on who runs the same engine meanwhile.
			if b := small["linear"]; b > 64<<10 {
				t.Errorf("%d bytes of linear memory before it has grown", b)
			}
			if b := large["linear"]; b < plantedBytes || b > plantedBytes+64<<10 {
				t.Errorf("%d bytes of linear memory, want %d", b, plantedBytes)
			}
		})
	}
}

// Many instances in one process, which may lie side by side.
func TestProfileOfManyInstances(t *testing.T) {
	const n, pages = 50, 16
	w := newGrowing(t, pages)
	for _, r := range []runtime.Runtime{wazero.Embedded(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}), wasmedge.Embedded()} {
		t.Run(r.Name(), func(t *testing.T) {
			img, err := r.Prepare(t.Context(), w)
			orSkip(t, err)
			defer img.Close()
			var scope runtime.Scope
			var all [][]runtime.Region
			var half []runtime.Region
			for i := range n {
				inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
				if err != nil {
					t.Fatal(err)
				}
				defer inst.Close()
				if _, err := inst.Call(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				regions, err := inst.(runtime.Mapper).Regions(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				scope, all = inst.Scope(), append(all, regions)
				if i%2 == 0 {
					half = append(half, regions...)
				}
			}
			names := []string{"linear", "code", "stack", "engine"}
			for name, tt := range map[string]struct {
				regions []runtime.Region
				count   int64
			}{
				"none": {[]runtime.Region{}, 0}, "the first": {all[0], 1}, "the last": {all[n-1], 1},
				"every other": {half, n / 2}, "all but one": {slices.Concat(all[1:]...), n - 1},
				"all": {slices.Concat(all...), n},
			} {
				parts := profile(t, scope, tt.regions, measure.ProfileOptions{}, names...)
				if want := tt.count * pages << 16; !closeTo(parts["linear"], want, 0.01) {
					t.Errorf("%s: %d bytes of linear memory, want %d", name, parts["linear"], want)
				}
			}
		})
	}
}

func TestProfileOfTheShared(t *testing.T) {
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	self, other := os.Getpid(), cmd.Process.Pid
	for name, tt := range map[string]struct {
		scope runtime.Scope
		want  []string
	}{
		"nothing":                 {runtime.Scope{}, compiled},
		"a daemon twice":          {runtime.Scope{Own: []int{other}, Shared: []int{self, self}}, slices.Concat(compiled, []string{"daemon"})},
		"one that is own as well": {runtime.Scope{Own: []int{other}, Shared: []int{other}}, compiled},
		"a shim of its own":       {runtime.Scope{Own: []int{other, self}, Shim: self}, slices.Concat(compiled, []string{"shim"})},
		"a shim that is shared":   {runtime.Scope{Own: []int{other}, Shared: []int{self}, Shim: self}, slices.Concat(compiled, []string{"shim"})},
		"a shim alone":            {runtime.Scope{Own: []int{other}, Shim: other}, slices.Concat(compiled, []string{"shim"})},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := measure.Profile(t.Context(), tt.scope, nil, measure.ProfileOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var sum int64
			for _, p := range parts {
				got = append(got, p.Name)
				sum += p.Bytes
			}
			u, err := measure.Memory.Read(t.Context(), tt.scope)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("components %v, want %v", got, tt.want)
			}
			// This process is at work meanwhile.
			if !closeTo(sum, u.Own.PSS+u.Shared.PSS, 0.2) {
				t.Errorf("%v, the meter reads %d and %d", parts, u.Own.PSS, u.Shared.PSS)
			}
		})
	}
}

func TestProfileFails(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, new(unix.Siginfo), unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"ended", "waited for"} {
		for name, scope := range map[string]runtime.Scope{"own": {Own: []int{pid}}, "shared": {Shared: []int{pid}}, "shim": {Own: []int{pid}, Shim: pid}} {
			for _, regions := range [][]runtime.Region{nil, {}} {
				_, err := measure.Profile(t.Context(), scope, regions, measure.ProfileOptions{})
				if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
					t.Errorf("%s process that has %s: %v", name, state, err)
				}
			}
		}
		cmd.Wait()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := measure.Profile(ctx, runtime.Scope{Own: []int{os.Getpid()}}, nil, measure.ProfileOptions{}); !errors.Is(err, why) {
		t.Errorf("a context that had ended gave %v", err)
	}
}
