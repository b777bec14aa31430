package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest/webtest"
)

func testBridge(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	rundirtest.Bridge(t, host, r)
	rundirtest.FailsOnBridge(t, host, r)
}

func testWebGuests(t *testing.T, r *docker.Runtime, host *rundirtest.Host) {
	webtest.Guests(t, host, r)
}

// holdServer starts a server on a bridge, writes its scope and waits.
func holdServer(r *docker.Runtime) error {
	// Beside other servers of these tests it would be taken for one of them.
	dir := filepath.Join(os.Getenv(guestsVar), "bridge")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w := rundirtest.Web{Echo: rundirtest.Echo{Dir: dir}}
	img, err := r.PrepareServer(context.Background(), w, runtime.ServeOptions{Bridge: true})
	if err != nil {
		return err
	}
	s, err := img.Serve(context.Background(), "", ignore)
	if err != nil {
		return err
	}
	if _, err := rundirtest.Get(context.Background(), s, []byte("you")); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.Scope()); err != nil {
		return err
	}
	select {}
}

// What a killed run's private daemon left of its bridge goes with the next run.
func TestSweepOfABridgeAfterKill(t *testing.T) {
	r, _ := private(t) // to skip the test where there is none
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	host, before := rundirtest.Watch(t), lookAround(t)
	scope := holdAndKill(t, host, "bridge:private", 0)
	container := rundirtest.NewWitness(t, fmt.Sprintf("/proc/%d/ns/net", scope.Own[0]))
	if left := strings.Join(host.Leftovers(t), "\n"); !strings.Contains(left, "network device wb-") {
		t.Errorf("no bridge is left to sweep: %s", left)
	}
	if err := rundir.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	container.Gone(t)
	for _, left := range host.Leftovers(t) {
		t.Errorf("left behind: %s", left)
	}
	before.compare(t)
}

// In a daemon that is not ours bridges go with the run too, or with the next one.
func TestAnotherDaemonIsLeftWithoutBridges(t *testing.T) {
	address, c, host := another(t)
	bridges := func(want int) {
		t.Helper()
		list, err := c.NetworkList(t.Context(), client.NetworkListOptions{Filters: client.Filters{}.Add("driver", "bridge")})
		if err != nil || len(list.Items) != want {
			t.Errorf("bridge networks %+v, %v, want %d", list.Items, err, want)
		}
		for _, n := range list.Items {
			if len(n.Labels) != 1 {
				t.Errorf("the network %s has the labels %v", n.Name, n.Labels)
			}
		}
	}
	holdAndKill(t, host, "bridge:"+address, 0)
	bridges(1)
	r := docker.New(docker.Options{Host: address})
	if _, err := r.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	bridges(0)
	objects(t, c, 0, 0)
	var images []runtime.ServerImage
	for range 2 {
		img, err := r.PrepareServer(t.Context(), rundirtest.Web{Echo: rundirtest.Echo{Dir: t.TempDir()}}, runtime.ServeOptions{Bridge: true})
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, img)
	}
	bridges(1)
	s, err := images[1].Serve(t.Context(), "", ignore)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := rundirtest.Get(t.Context(), s, []byte("you")); err != nil || string(answer) != "hello you" {
		t.Errorf("the answer is %q, %v", answer, err)
	}
	host.Add(s.Scope())
	if err := errors.Join(images[0].Close(), r.Close()); err != nil { // with the server in it
		t.Error(err)
	}
	bridges(0)
	objects(t, c, 0, 0)
}
