package containerd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// holdVar makes the test binary hold containers until it is killed, in the
// daemon at the address that is its value, or in a private one if that is
// "private"; if it is "paused" it pauses them there, and if it is "churn" it
// starts and closes them without end. With "shared:" before that there are
// several of containerd, under one shim. If it is "bridge" it holds servers on
// bridges.
const holdVar = "WASMBENCH_TEST_HOLD"

func TestMain(m *testing.M) {
	if address, ok := os.LookupEnv(holdVar); ok {
		if err := hold(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// A holding is what a process holds until it is killed.
type holding struct {
	dir    string // of the guests
	closes []func() error
}

// end is called where it could not be made.
func (h *holding) end() (err error) {
	for _, end := range slices.Backward(h.closes) {
		err = errors.Join(err, end())
	}
	return err
}

func (h *holding) add(end func() error) { h.closes = append(h.closes, end) }

// hold has what is to be held made for an address, writes what that returns and waits.
// It leaves nothing where that fails.
func hold(address string) (err error) {
	dir, err := os.MkdirTemp("", "hold")
	if err != nil {
		return err
	}
	h := &holding{dir: dir, closes: []func() error{func() error { return os.RemoveAll(dir) }}}
	defer func() { err = errors.Join(err, h.end()) }()
	var what any
	if address == "bridge" {
		what, err = h.servers()
	} else {
		what, err = h.instances(address)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(what)
	}
	if err != nil {
		return err
	}
	select {}
}

// instances starts an instance on both runtimes and returns their scopes.
func (h *holding) instances(address string) (scopes []runtime.Scope, err error) {
	address, sharing := strings.CutPrefix(address, "shared:")
	churning, pausing := address == "churn", address == "paused"
	if churning || pausing || address == "private" {
		address = ""
	}
	c := containerd.New(containerd.Options{Address: address})
	if sharing {
		c = c.SharedShim()
	}
	h.add(c.Close)
	for _, r := range []runtime.Runtime{runc.New(runc.Options{}), c} {
		img, err := r.Prepare(context.Background(), rundirtest.InKeepsake(rundirtest.Echo{Mode: "stubborn", Dir: h.dir}))
		if err != nil {
			return nil, err
		}
		h.add(img.Close)
		inst, err := img.Start(context.Background(), ignore)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, inst.Scope())
		for n := 1; sharing && r == c && n < 12; n++ {
			another, err := img.Start(context.Background(), ignore)
			if err != nil {
				return nil, err
			}
			scopes = append(scopes, another.Scope())
		}
		if pausing {
			if err := inst.(runtime.Pauser).Pause(context.Background()); err != nil {
				return nil, err
			}
		}
		if churning {
			go churn(img)
		}
	}
	return scopes, nil
}

func churn(img runtime.Image) {
	for {
		inst, err := img.Start(context.Background(), ignore)
		if err == nil {
			err = inst.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// holdAndKill runs hold in another process and kills that after a while. It
// returns the scopes of what that held.
func holdAndKill(t *testing.T, host *rundirtest.Host, address string, after time.Duration) (scopes []runtime.Scope) {
	t.Helper()
	heldAndKilled(t, address, &scopes, func() {
		time.Sleep(after)
		for _, s := range scopes {
			host.Add(s)
		}
	})
	if len(host.Leftovers(t)) == 0 {
		t.Fatal("the killed process left nothing to sweep")
	}
	return scopes
}

// heldAndKilled runs hold in another process, reads into held what that tells of
// itself, calls look and kills it.
func heldAndKilled(t *testing.T, address string, held any, look func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if err := json.NewDecoder(out).Decode(held); err != nil {
		t.Fatal(err)
	}
	look()
}

func require(t testing.TB) {
	t.Helper()
	r := containerd.New(containerd.Options{})
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSweepAfterKill(t *testing.T) {
	for _, state := range []string{"private", "paused", "shared:private"} {
		t.Run(state, func(t *testing.T) {
			host := rundirtest.Watch(t)
			require(t)
			keepsake := rundirtest.NewKeepsake(t)
			for _, s := range holdAndKill(t, host, state, 0) {
				keepsake.Seen(t, s.Own[0])
				if frozen := rundirtest.Frozen(t, s); frozen != (state == "paused") {
					t.Errorf("%s: frozen: %v", state, frozen)
				}
			}
			begin := time.Now()
			if err := rundir.Sweep(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			t.Logf("swept in %v", time.Since(begin))
			keepsake.Kept(t)
			for _, left := range host.Leftovers(t) {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

// Wherever in the making or the ending of containers a run is killed, the next
// one finds what it left.
func TestSweepAfterKillAtAnyTime(t *testing.T) {
	host := rundirtest.Watch(t)
	require(t)
	keepsake := rundirtest.NewKeepsake(t)
	for range 4 {
		after := rand.N(300 * time.Millisecond)
		holdAndKill(t, host, "churn", after)
		if err := rundir.Sweep(t.Context(), nil); err != nil {
			t.Errorf("killed after %v: %v", after, err)
		}
		for _, left := range host.Leftovers(t) {
			t.Errorf("killed after %v: left behind: %s", after, left)
		}
		keepsake.Kept(t)
	}
}

func TestAnotherDaemonIsLeftClean(t *testing.T) {
	_, host := prepare(t, "")
	keepsake := rundirtest.NewKeepsake(t)
	sockets, err := filepath.Glob(filepath.Join(host.Tmp, "wasmbench-*", "*", "containerd.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v", sockets, err)
	}
	for _, address := range []string{sockets[0], "shared:" + sockets[0]} {
		holdAndKill(t, host, address, 0)
		other := containerd.New(containerd.Options{Address: sockets[0]})
		info, err := other.Probe(t.Context())
		if err != nil || !strings.Contains(info.Settings, sockets[0]) {
			t.Errorf("Probe = %+v, %v", info, err)
		}
		w := rundirtest.Echo{Dir: t.TempDir()}
		img, err := other.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		if err := other.Close(); err != nil {
			t.Error(err)
		}
		keepsake.Kept(t)
	}
	tasks, err := filepath.Glob(filepath.Join(filepath.Dir(sockets[0]), rundir.StateName, "io.containerd.runtime.v2.task", "*", "*"))
	if err != nil || len(tasks) > 0 {
		t.Errorf("tasks left in the daemon: %v, %v", tasks, err)
	}
}

func TestDeadSocket(t *testing.T) {
	require(t)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = containerd.New(containerd.Options{Address: socket}).Probe(ctx)
	u, ok := err.(*workload.Unavailable)
	if !ok || !strings.Contains(u.Error(), socket) || u.Fix == "" || u.Err == nil {
		t.Errorf("error %v, want an *Unavailable with the socket, the cause and the remedy", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v: the socket was waited for", err)
	}
}
