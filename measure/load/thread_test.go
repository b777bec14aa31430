package load_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/measure/load"
)

// stacks returns those of the goroutines that have a word in them.
func stacks(word string) string {
	b := make([]byte, 1<<20)
	var found []string
	for s := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(s, word) {
			found = append(found, s)
		}
	}
	return strings.Join(found, "\n\n")
}

// threads returns something of each thread of this process.
func threads(t *testing.T, of func(dir string) (string, error)) map[string]int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, d := range dirs {
		if s, err := of(d); err == nil { // else it has ended
			all[s]++
		}
	}
	return all
}

func allowed(dir string) (string, error) {
	b, err := os.ReadFile(dir + "/status")
	_, list, _ := strings.Cut(string(b), "Cpus_allowed_list:")
	list, _, _ = strings.Cut(list, "\n")
	return strings.TrimSpace(list), err
}

func network(dir string) (string, error) { return os.Readlink(dir + "/ns/net") }

// locations is a scenario that asks for the processors on which a user is.
type locations struct{}

func affinityOf(load.Parameters) (load.Scenario, error) { return locations{}, nil }

func (locations) User(int) load.User { return location{} }

type location struct{}

func (location) Next(dst []byte, host string) []byte {
	list, err := allowed("/proc/thread-self")
	if err != nil {
		list = err.Error()
	}
	return load.AppendRequest(dst, "GET", "/"+list, host, nil)
}

func (location) Check(int, []byte, bool) error { return nil }

func (location) Failed() {}

// lastProcessor is the last on which this process may run.
func lastProcessor(t *testing.T) (last int) {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			last = i
		}
	}
	return last
}

func TestProcessors(t *testing.T) {
	last := lastProcessor(t)
	var mu sync.Mutex
	from := map[string]int{}
	plan := load.Plan{Addresses: []string{serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.URL.Path]++
		mu.Unlock()
	})}, Connections: 4, Threads: 2, Duration: 50 * time.Millisecond, CPUs: []int{last}}
	before := threads(t, allowed)
	check := func(t *testing.T, err error) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		want := fmt.Sprintf("/%d", last)
		if err != nil || len(from) != 1 || from[want] == 0 {
			t.Errorf("users were on %v, want %s; error %v", from, want, err)
		}
		clear(from)
		// Whatever it was that each thread might use, it is so again.
		if now := threads(t, allowed); len(now) != len(before) {
			t.Errorf("the threads of this process are on %v, were on %v", now, before)
		}
	}
	t.Run("here", func(t *testing.T) {
		_, err := load.Run(t.Context(), plan, locations{}, load.Events{})
		check(t, err)
	})
	t.Run("generator", func(t *testing.T) {
		t.Setenv(role, "generator")
		_, err := load.Generator{Path: self()}.Run(t.Context(), plan, "affinity", nil, load.Events{})
		check(t, err)
	})
}

// newNetwork returns the path of a network namespace of its own and a listener in
// it.
func newNetwork(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	type made struct {
		file *os.File
		l    net.Listener
		err  error
	}
	done := make(chan made)
	go func() {
		runtime.LockOSThread()
		var m made
		defer func() { done <- m }()
		before, err := os.Open("/proc/thread-self/ns/net")
		if m.err = err; err != nil {
			return
		}
		defer before.Close()
		if m.err = unix.Unshare(unix.CLONE_NEWNET); m.err != nil {
			return
		}
		if m.file, m.err = os.Open("/proc/thread-self/ns/net"); m.err != nil {
			return
		}
		if m.err = loopbackUp(); m.err == nil {
			m.l, m.err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); err != nil {
			m.err = errors.Join(m.err, err)
			return
		}
		runtime.UnlockOSThread()
	}()
	m := <-done
	if errors.Is(m.err, unix.EPERM) {
		t.Skip("only root makes networks")
	}
	if m.err != nil {
		t.Fatal(m.err)
	}
	t.Cleanup(func() { m.file.Close(); m.l.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), m.file.Fd()), m.l
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func TestNetwork(t *testing.T) {
	path, l := newNetwork(t)
	server := &http.Server{Handler: http.HandlerFunc(helloServer)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	plan := load.Plan{Addresses: []string{l.Addr().String()}, Network: path, Connections: 4, Threads: 2, Duration: 50 * time.Millisecond}
	runs := map[string]func(load.Plan) (*load.Result, error){
		"here": func(p load.Plan) (*load.Result, error) { return load.Run(t.Context(), p, hello, load.Events{}) },
		"generator": func(p load.Plan) (*load.Result, error) {
			return load.Generator{Path: self()}.Run(t.Context(), p, "exchanges", exchanges(hello), load.Events{})
		},
	}
	t.Setenv(role, "generator")
	for name, run := range runs {
		t.Run(name, func(t *testing.T) {
			r, err := run(plan)
			if err != nil {
				t.Fatal(err)
			}
			if r.Requests == 0 || r.Failed > 0 {
				t.Errorf("%d right, %d failed: %v", r.Requests, r.Failed, r.Failures)
			}
			elsewhere := plan
			elsewhere.Network = ""
			if r, err := run(elsewhere); err != nil || r.Requests > 0 || r.Failed == 0 {
				t.Errorf("from the network of this process: %+v, error %v", r, err)
			}
			if now := threads(t, network); len(now) != 1 {
				t.Errorf("the threads of this process are in %v", now)
			}
		})
	}
}

// What this process has started outlives the threads that made load.
func TestThreadsLiveOn(t *testing.T) {
	path, _ := newNetwork(t)
	before := map[string]bool{}
	for tid := range threads(t, tidOf) {
		before[tid] = true
	}
	for range 5 {
		if _, err := load.Run(t.Context(), load.Plan{Addresses: []string{"127.0.0.1:1"}, Network: path, Connections: 2, Threads: 2, Duration: time.Millisecond}, hello, load.Events{}); err != nil {
			t.Fatal(err)
		}
	}
	after := threads(t, tidOf)
	for tid := range before {
		if after[tid] == 0 {
			t.Errorf("thread %s has ended", tid)
		}
	}
}

func tidOf(dir string) (string, error) { return filepath.Base(dir), nil }
