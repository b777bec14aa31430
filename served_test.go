package wasmbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// A hundred users are answered by every runtime's server in every way in which it serves, none
// of them wrongly, and when they have gone nothing of theirs is left: no connection, no
// file, no process, and not as many threads or instances as they were. They stay for a
// moment, or for -http.time where it is given.
func TestHundredUsers(t *testing.T) {
	const briefly = 200 * time.Millisecond
	long := briefly
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "http.time" {
			long = *flagHTTPTime
		}
	})
	for _, c := range probed(t, nil) {
		if strings.HasSuffix(c.Name(), "-jit") || strings.HasSuffix(c.Name(), "-interp") {
			continue // their servers are those of the others
		}
		t.Run(c.Name(), func(t *testing.T) {
			for _, by := range ways(c, true, true) {
				t.Run(by.String(), func(t *testing.T) {
					w := servedHello(t, c)
					s := &servers{candidate: c, workload: w, made: map[way]runtime.ServerImage{}}
					t.Cleanup(func() { closed(t, s) }) // after its service
					svc := started(t, c, s, by, w)
					all, err := measure.Exchanges(t.Context(), svc, w)
					if err != nil {
						t.Fatal(err)
					}
					p, err := json.Marshal(load.Exchanges(all))
					if err != nil {
						t.Fatal(err)
					}
					plan := load.Plan{Connections: 100, Pipelining: 2, Timeout: time.Minute, Sample: 1}
					visit := func(during time.Duration) {
						plan.Duration = during
						serving, err := measure.Serve(t.Context(), []runtime.Service{svc}, plan, measure.Script{Scenario: "exchanges", Parameters: p}, measure.ServingOptions{})
						if err == nil {
							err = serving.Err()
						}
						if err != nil {
							t.Fatal(err)
						}
						t.Logf("%d requests, %.0f a second", serving.Result.Completed, serving.Throughput())
						if serving.Result.Completed == 0 {
							t.Error("nobody was answered")
						}
					}
					visit(briefly)
					first := awaitHeld(t, svc, func(h held) bool { return h.sockets == 0 })
					visit(long)
					again := awaitHeld(t, svc, func(h held) bool { return h.within(first) })
					if !again.within(first) {
						t.Errorf("the service held %+v after the first hundred users, %+v after the second", first, again)
					}
				})
			}
		})
	}
}

// probed returns the runtimes that there are, of those named or, with nil, of all. One
// that the environment requires must be there.
func probed(t *testing.T, names []string) (cs []*candidate) {
	t.Helper()
	for _, r := range all() {
		if names != nil && !slices.Contains(names, r.Name()) {
			continue
		}
		if closer, ok := r.(io.Closer); ok {
			t.Cleanup(func() {
				if err := closer.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		info, err := r.Probe(t.Context())
		switch {
		case err == nil:
			cs = append(cs, &candidate{Runtime: r, info: info})
		case slices.Contains(suite.required, r.Name()):
			t.Errorf("required by %s: %v", requireEnv, err)
		default:
			t.Log(err)
		}
	}
	return cs
}

// servedHello returns hello in a language in which the runtime serves it soon: C
// where it is a module.
func servedHello(t *testing.T, c *candidate) workload.Workload {
	t.Helper()
	l := workload.C
	if c.Name() == "native" || contains(c.Name()) {
		l = workload.Go
	}
	w, err := hello(l)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// started returns a service of a candidate that has answered and ends with the test.
func started(t *testing.T, c *candidate, s *servers, w way, work workload.Workload) runtime.Service {
	t.Helper()
	img, err := s.image(t.Context(), w)
	if lacking(t, c.Runtime, err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	svc, _, err := measure.FirstResponse(ctx, img, work)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, svc) })
	return svc
}

func closed(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// held is what the processes of a service have of the kernel, all together.
type held struct {
	sockets   int // connections to anybody
	files     int // open, sockets among them
	processes int
	threads   int
	areas     int // of addresses
	addresses int // B
}

// within tells whether less is held than before and what a hundred requests would have
// left, which is what nobody else grows by: a thread of each, or of its instance an area
// of addresses or a few or, where the kernel makes one of them all, a GiB of these, for
// engines set aside several for each memory.
func (h held) within(before held) bool {
	const requests = 100
	const areas = 3 // of an instance that was under way: a memory and what guards it
	return h.sockets == 0 && h.files <= before.files && h.processes <= before.processes &&
		h.threads < before.threads+requests && h.areas < before.areas+areas*requests && h.addresses < before.addresses+requests<<30
}

// awaitHeld waits until what a service holds is right and returns it; or what it holds
// after half a minute.
func awaitHeld(t *testing.T, svc runtime.Service, right func(held) bool) (h held) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if h = heldBy(t, svc); right(h) || time.Now().After(deadline) {
			return h
		}
	}
}

func heldBy(t *testing.T, svc runtime.Service) (h held) {
	t.Helper()
	for _, pid := range svc.Scope().Own {
		p, err := procfs.NewProc(pid)
		if err != nil {
			t.Fatal(err)
		}
		open, err := p.FileDescriptorTargets()
		if err != nil {
			t.Fatal(err)
		}
		stat, err := p.Stat()
		if err != nil {
			t.Fatal(err)
		}
		areas, err := p.ProcMaps()
		if err != nil {
			t.Fatal(err)
		}
		h.processes++
		h.files += len(open)
		h.sockets += connected(t, pid, open)
		h.threads += stat.NumThreads
		h.areas += len(areas)
		h.addresses += int(stat.VirtualMemory())
	}
	return h
}

// connected counts the connections of TCP among the open files of a process.
func connected(t *testing.T, pid int, open []string) (n int) {
	t.Helper()
	for _, version := range []string{"tcp", "tcp6"} {
		all, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, version)) // its network need not be ours
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(all)) {
			const state, listening, inode = 3, "0A", 9
			of := strings.Fields(line)
			if of[state] != listening && slices.Contains(open, "socket:["+of[inode]+"]") {
				n++
			}
		}
	}
	return n
}

// What there is in stock is sold once, though more want to buy it at the same time from
// two services with one database: processes, modules behind the host function and
// containers alike.
func TestNoStockIsSoldTwice(t *testing.T) {
	const inStock, buyers = 20, 50
	for _, c := range probed(t, []string{"native", "wazero", "wasmtime-embedded", "containerd"}) {
		t.Run(c.Name(), func(t *testing.T) {
			dir := t.TempDir()
			if err := stock(dir); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, workload.StoreFile)
			ask(t, path, sqlwire.Request{Op: sqlwire.Write, SQL: "DELETE FROM carts"})
			ask(t, path, sqlwire.Request{Op: sqlwire.Write, SQL: "UPDATE products SET stock = ? WHERE id = 1", Args: []sqlwire.Value{{Kind: sqlwire.Int, Int: inStock}}})
			w := workload.Shop(workload.Go, dir)
			s := &servers{candidate: c, workload: w, made: map[way]runtime.ServerImage{}}
			t.Cleanup(func() { closed(t, s) }) // after its services
			first := ways(c, false, true)[0]
			services := []runtime.Service{started(t, c, s, first, w), started(t, c, s, first, w)}
			var sold, refused atomic.Int64
			var all sync.WaitGroup
			for user := 1; user <= buyers; user++ {
				all.Go(func() {
					address := services[user%len(services)].Address()
					if status, body := post(t, address, "/cart/add", fmt.Sprintf(`{"user":%d,"product":1,"quantity":1}`, user)); status != http.StatusOK {
						t.Errorf("adding to the cart: status %d, %s", status, body)
						return
					}
					switch status, body := post(t, address, "/checkout", fmt.Sprintf(`{"user":%d}`, user)); status {
					case http.StatusOK:
						sold.Add(1)
					case http.StatusConflict:
						refused.Add(1)
					default:
						t.Errorf("buying: status %d, %s", status, body)
					}
				})
			}
			all.Wait()
			if sold.Load() != inStock || refused.Load() != buyers-inStock {
				t.Errorf("%d bought and %d were refused, want %d and %d", sold.Load(), refused.Load(), inStock, buyers-inStock)
			}
			for query, want := range map[string]int64{
				"SELECT stock FROM products WHERE id = 1":                 0,
				"SELECT sum(quantity) FROM order_lines WHERE product = 1": inStock,
				"SELECT count(*) FROM orders":                             inStock,
				"SELECT count(*) FROM carts":                              buyers - inStock,
			} {
				rows := ask(t, path, sqlwire.Request{Op: sqlwire.Read, SQL: query})
				if rows.Len() != 1 || rows.Row(0)[0].Int != want {
					t.Errorf("%s gives %+v, want %d", query, rows, want)
				}
			}
		})
	}
}

func post(t *testing.T, address, target, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+target, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(b)
}

// ask runs a statement on a database.
func ask(t *testing.T, path string, request sqlwire.Request) sqlwire.Rows {
	t.Helper()
	s, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	session := s.NewSession()
	defer closed(t, session)
	rows, err := session.Run(request)
	if err != nil {
		t.Fatalf("%s: %v", request.SQL, err)
	}
	return rows
}

// A server that is killed under load fails its benchmark with the count of requests
// that failed, and the run goes on.
func TestKilledServerFailsItsBenchmark(t *testing.T) {
	killed := make(chan error, 1)
	done := make(chan struct{})
	mark := t.TempDir()
	t.Setenv(markVar, mark)
	go func() { killed <- killUnderLoad(mark, done) }()
	out, errs, err := rerun(t, "-test.bench=HTTP/workload=hello/.*/.*/app=hello", "-runtimes=native", "-guests=go", "-http.connections=8", "-http.time=2s")
	close(done)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if err == nil || !bytes.Contains(out, []byte("--- FAIL")) || !bytes.Contains(out, []byte("requests failed")) || !bytes.Contains(out, []byte("signal: killed")) {
		t.Errorf("error %v of a run whose server was killed:\n%s%s", err, out, errs)
	}
	if !bytes.Contains(out, []byte("/loop=open")) || !bytes.Contains(out, []byte(" req/s")) {
		t.Errorf("the run did not go on:\n%s%s", out, errs)
	}
}

// killUnderLoad kills the first server of a run with a mark once a load generator of
// that run has answers.
func killUnderLoad(mark string, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return fmt.Errorf("the run ended before there was a server under load")
		case <-time.After(5 * time.Millisecond):
		}
		server, busy := 0, false
		processes, err := procfs.AllProcs()
		if err != nil {
			return err
		}
		for _, p := range processes {
			env, err := p.Environ()
			if err != nil || !slices.Contains(env, markVar+"="+mark) {
				continue
			}
			args, _ := p.CmdLine()
			stat, err := p.Stat()
			switch {
			case err != nil || len(args) == 0:
			case strings.HasSuffix(args[0], "-generator"):
				busy = stat.CPUTime() > 0.1
			case len(args) == 2 && strings.HasPrefix(args[1], "127.0.0.1:"):
				server = p.PID
			}
		}
		if server != 0 && busy {
			return unix.Kill(server, unix.SIGKILL)
		}
	}
}
