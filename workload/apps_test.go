package workload_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// An application is a workload that holds data.
type application struct {
	limit  uint32              // the numbers that it answers are below it
	right  func(uint32) string // the answer to one
	refuse string              // the answer to anything else
	least  int                 // bytes that the data take where they take least
}

var applications = map[string]application{
	"webapi":        {4096, workload.Product, "no such product", 1 << 20},
	"microservice":  {4096, workload.Summary, "no such customer", 4 << 20},
	"dataprocessor": {16, workload.ColumnSum, "no such column", 16 << 20},
}

func app(t *testing.T, name string, l workload.Language) *workload.Guest {
	t.Helper()
	g, err := workload.App(name, l)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// interrogate asks a guest, first what it is for, then also what is not right.
func interrogate(t *testing.T, w workload.Workload, ask func([]byte) ([]byte, error)) {
	t.Helper()
	a := applications[w.Name()]
	questions := map[string]string{"007": a.right(7), "000000007": a.right(7)}
	for _, n := range []uint32{0, 1, 9, a.limit / 2, a.limit - 1, 699} {
		if n < a.limit {
			questions[fmt.Sprint(n)] = a.right(n)
		}
	}
	for _, bad := range []string{
		"", " ", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e1", "0x1", "1_0", "one", "length", "constructor", "\xff", "\x00", "\u0661",
		fmt.Sprint(a.limit), "4294967296", "4294967303", "18446744073709551617", "0000000007", strings.Repeat("9", 5000),
	} {
		questions[bad] = a.refuse
	}
	if got, err := ask(w.Request()); err != nil || w.Check(got) != nil {
		t.Fatalf("%s: %v, %v", w.Name(), err, w.Check(got))
	}
	for q, want := range questions {
		if got, err := ask([]byte(q)); err != nil || string(got) != want {
			t.Errorf("%s: %.40q is answered %q, %v; want %q", w.Name(), q, got, err, want)
		}
	}
}

func TestAppAnswers(t *testing.T) {
	for name, want := range map[string]string{
		"hello":         "Hello, World!",
		"webapi":        `{"id":1234,"name":"Slate chair 1234","price":38708,"stock":41,"tags":["garden","sale"],"description":"series series small series piece light a care with made small by sturdy light for room made for and with for with made a"}`,
		"microservice":  `{"customer":1234,"orders":8,"total":149982,"last":{"id":26863,"day":839,"quantity":5,"cents":24135,"status":"shipped","address":"42 Castle Hill, Ashford","note":"knock twice, leave it in the porch, from six onwards, gift wrapped"}}`,
		"dataprocessor": "570826225029760",
	} {
		if w := app(t, name, workload.C); w.Name() != name || w.Check([]byte(want)) != nil || w.Check([]byte(want+" ")) == nil {
			t.Errorf("%s does not want %s alone: %v", w.Name(), want, w.Check([]byte(want)))
		}
	}
	if got := workload.Summary(699); got != `{"customer":699,"orders":0,"total":0,"last":null}` {
		t.Errorf("who ordered nothing: %s", got)
	}
	for name := range applications {
		if !slices.Contains(workload.Apps(), name) {
			t.Errorf("%s is not in %v", name, workload.Apps())
		}
	}
	if _, err := workload.App("fibonacci", workload.C); err == nil || !strings.Contains(err.Error(), "dataprocessor") {
		t.Errorf("an application that there is not: %v", err)
	}
}

// The sums of the harness are those of a batch that was made in full.
func TestColumnSum(t *testing.T) {
	const block, copies = 65536, 64
	batch := make([]uint32, block*copies)
	for i := range batch {
		n := uint32(i%block) * 0x9e3779b1
		n = (n ^ n>>15) * 0x85ebca77
		batch[i] = n ^ n>>13
	}
	for c := range copies {
		batch[c*block+c%16] = uint32(c)
	}
	var sums [16]uint64
	for i, n := range batch {
		sums[i%16] += uint64(n)
	}
	for column, want := range sums {
		if got := workload.ColumnSum(uint32(column)); got != strconv.FormatUint(want, 10) {
			t.Errorf("column %d: %s, want %d", column, got, want)
		}
	}
}

// The first answer is when the data are there, and they stay.
func TestAppsHoldTheirData(t *testing.T) {
	for _, l := range workload.Languages() {
		t.Run(string(l), func(t *testing.T) {
			for name, a := range applications {
				w := app(t, name, l)
				c := converse(t, w, true)
				before := resident(t, c.cmd.Process.Pid)
				interrogate(t, w, func(q []byte) ([]byte, error) { return c.ask(q), nil })
				if after := resident(t, c.cmd.Process.Pid); after-before < a.least {
					t.Errorf("%s: its data take %d bytes, want %d", name, after-before, a.least)
				}
			}
		})
	}
}

// resident returns the memory of a process that is in no file, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[0] == "Pss_Anon:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("the kernel does not tell what is anonymous, as Linux does since 5.9")
	return 0
}

// A module that has not been asked yet has no memory for its data.
func TestModulesTakeMemoryWhenAsked(t *testing.T) {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	for name := range applications {
		for _, f := range []workload.Form{workload.Command, workload.Reactor, workload.CGI} {
			path, err := app(t, name, workload.C).Artifact(t.Context(), f)
			skip(t, err)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.CompileModule(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if pages := m.ExportedMemories()["memory"].Min(); pages > 1 {
				t.Errorf("%s as %s begins with %d pages of 64 KiB", name, f, pages)
			}
		}
	}
}

// Several may ask first at once.
func TestAppsAsServers(t *testing.T) {
	for _, l := range servers {
		for name, a := range applications {
			t.Run(name+"/"+string(l), func(t *testing.T) {
				w := app(t, name, l)
				url := "http://" + serve(t, w) + "/"
				var wg sync.WaitGroup
				for n := range uint32(8) {
					wg.Go(func() {
						if got, err := post(url, fmt.Append(nil, n)); err != nil || string(got) != a.right(n) {
							t.Errorf("%d is answered %q, %v", n, got, err)
						}
					})
				}
				wg.Wait()
				interrogate(t, w, func(q []byte) ([]byte, error) { return post(url, q) })
			})
		}
	}
}

// V8 tells of its memory what nobody else can, and of the guest's data.
func TestMemoryOfNode(t *testing.T) {
	for _, l := range []workload.Language{workload.Node, workload.NodeJitless} {
		t.Run(string(l), func(t *testing.T) {
			w := workload.DataProcessor(l)
			url := "http://" + serve(t, w)
			before := nodeMemory(t, url)
			if before.RSS < before.HeapUsed || before.HeapTotal < before.HeapUsed || before.HeapUsed < 1<<20 {
				t.Errorf("%+v is no account of a process", before)
			}
			answer, err := post(url+"/", w.Request())
			if err := errors.Join(err, w.Check(answer)); err != nil {
				t.Error(err)
			}
			if after := nodeMemory(t, url); after.ArrayBuffers-before.ArrayBuffers < 16<<20 || after.External < after.ArrayBuffers {
				t.Errorf("with 16 MiB of numbers it is %+v, before %+v", after, before)
			}
			if _, err := post(url+"/memory", nil); err == nil || !strings.Contains(err.Error(), "405") {
				t.Errorf("a POST to /memory: %v, want status 405", err)
			}
		})
	}
}

type nodeUsage struct{ RSS, HeapTotal, HeapUsed, External, ArrayBuffers int64 }

func nodeMemory(t *testing.T, url string) (u nodeUsage) {
	t.Helper()
	r, err := http.Get(url + "/memory")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %s", r.Status, r.Header.Get("Content-Type"))
	}
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestInterpreted(t *testing.T) {
	for _, l := range workload.Languages() {
		_, _, err := workload.Interpreter(t.Context(), l)
		if want := l != workload.C && l != workload.Go; l.Interpreted() != want || !want && err == nil {
			t.Errorf("%s is interpreted: %v; its interpreter: %v", l, l.Interpreted(), err)
		}
	}
}
