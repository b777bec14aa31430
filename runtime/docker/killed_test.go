package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
)

// holdVar makes the test binary hold a container until it is killed, in the
// daemon at the address that is its value or in a private one; if it is "churn"
// it starts and closes others without end too, and with "bridge:" before the
// address it holds a server on a bridge instead.
const holdVar = "WASMBENCH_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(probeVar) != "" {
		probe()
		os.Exit(0)
	}
	if os.Getenv(fakeVar) != "" {
		fake()
		os.Exit(0)
	}
	if mode := os.Getenv(holdVar); mode != "" {
		if err := hold(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var err error
	if guests, err = os.MkdirTemp("", "guests"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(guests)
	os.Exit(status)
}

// guests is where the tests' guests are built, each once.
var guests string

const guestsVar = "WASMBENCH_TEST_GUESTS"

// hold starts an instance, writes its scope and waits. It leaves nothing where
// that fails.
func hold(mode string) (err error) {
	var options docker.Options
	mode, bridged := strings.CutPrefix(mode, "bridge:")
	if strings.HasPrefix(mode, "unix:") {
		options.Host = mode
	}
	options.Private = options.Host == ""
	r := docker.New(options)
	defer func() { err = errors.Join(err, r.Close()) }()
	if bridged {
		return holdServer(r)
	}
	img, err := r.Prepare(context.Background(), rundirtest.InKeepsake(rundirtest.Echo{Mode: "stubborn", Dir: os.Getenv(guestsVar)}))
	if err != nil {
		return err
	}
	inst, err := img.Start(context.Background(), ignore)
	if err != nil {
		return err
	}
	if mode == "churn" {
		go churn(img)
	}
	if err := json.NewEncoder(os.Stdout).Encode(inst.Scope()); err != nil {
		return err
	}
	select {}
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

// holdAndKill runs hold in another process and kills that after a while.
// It returns the scope of what that held.
func holdAndKill(t *testing.T, host *rundirtest.Host, mode string, after time.Duration) runtime.Scope {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"="+mode, guestsVar+"="+guests)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var scope runtime.Scope
	err = json.NewDecoder(out).Decode(&scope)
	time.Sleep(after)
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	host.Add(scope)
	if len(host.Leftovers(t)) == 0 {
		t.Fatal("the killed process left nothing to sweep")
	}
	return scope
}

// Wherever in the making or the ending of containers a run is killed, the next
// one finds what it left.
func TestSweepAfterKill(t *testing.T) {
	r, _ := private(t) // to skip the test where there is none
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	host, before := rundirtest.Watch(t), lookAround(t)
	keepsake := rundirtest.NewKeepsake(t)
	for i := range 3 {
		after := time.Duration(i) * rand.N(200*time.Millisecond)
		keepsake.Seen(t, holdAndKill(t, host, "churn", after).Own[0])
		begin := time.Now()
		if err := rundir.Sweep(t.Context(), nil); err != nil {
			t.Errorf("killed after %v: %v", after, err)
		}
		t.Logf("swept in %v", time.Since(begin))
		for _, left := range host.Leftovers(t) {
			t.Errorf("killed after %v: left behind: %s", after, left)
		}
		keepsake.Kept(t)
	}
	before.compare(t)
}

// another returns the address of a daemon that is the test's, as if it were that of
// others, and a client of it.
func another(t *testing.T) (address string, c *client.Client, host *rundirtest.Host) {
	t.Helper()
	_, host = private(t)
	sockets, err := filepath.Glob(filepath.Join(host.Tmp, "wasmbench-*", "*", "docker.sock"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets %v, %v", sockets, err)
	}
	address = "unix://" + sockets[0]
	c, err = client.New(client.WithHost(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return address, c, host
}

// What runs had in a daemon that is not theirs goes with them, or with the next
// run if they were killed; what others have there stays.
func TestAnotherDaemonIsLeftClean(t *testing.T) {
	address, c, host := another(t)
	keepsake := rundirtest.NewKeepsake(t)
	holdAndKill(t, host, address, 0)
	objects(t, c, 1, 1)

	w := rundirtest.Echo{Dir: guests}
	var runs []*docker.Runtime
	for range 2 {
		r := docker.New(docker.Options{Host: address})
		info, err := r.Probe(t.Context())
		if err != nil || !strings.Contains(info.Settings, address) {
			t.Fatalf("Probe = %+v, %v", info, err)
		}
		img, err := r.Prepare(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(inst.Scope())
		checkScope(t, inst.Scope())
		runs = append(runs, r)
	}
	keepsake.Kept(t)
	objects(t, c, 2, 1) // an image with two names
	if err := runs[0].Close(); err != nil {
		t.Error(err)
	}
	objects(t, c, 1, 1)
	t.Setenv("DOCKER_HOST", address)
	r := docker.New(docker.Options{})
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(img.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	objects(t, c, 1, 1)
	if err := runs[1].Close(); err != nil {
		t.Error(err)
	}
	objects(t, c, 0, 0)
}

// objects wants so many containers and images in a daemon.
func objects(t *testing.T, c *client.Client, containers, images int) {
	t.Helper()
	cs, err := c.ContainerList(t.Context(), client.ContainerListOptions{All: true})
	if err != nil || len(cs.Items) != containers {
		t.Errorf("containers %+v, %v, want %d", cs.Items, err, containers)
	}
	is, err := c.ImageList(t.Context(), client.ImageListOptions{All: true})
	if err != nil || len(is.Items) != images {
		t.Errorf("images %+v, %v, want %d", is.Items, err, images)
	}
}
