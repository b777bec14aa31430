package containerd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest/webtest"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
)

func TestBridge(t *testing.T) {
	host := rundirtest.Watch(t)
	require(t)
	r := containerd.New(containerd.Options{})
	for name, r := range map[string]*containerd.Runtime{"own shims": r, "shared shim": r.SharedShim()} {
		t.Run(name, func(t *testing.T) { rundirtest.Bridge(t, host, r) })
	}
	t.Run("failures", func(t *testing.T) { rundirtest.FailsOnBridge(t, host, r) })
	t.Run("web guests", func(t *testing.T) { webtest.Guests(t, host, r) })
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, left := range host.Leftovers(t) {
		t.Errorf("left behind: %s", left)
	}
}

// A held server, as the process that holds it tells of it.
type held struct {
	Scope   runtime.Scope
	Network string
}

// holdServers starts a server on a bridge on both runtimes, writes what they are
// and waits. It leaves nothing where that fails.
func holdServers() (err error) {
	dir, err := os.MkdirTemp("", "hold")
	if err != nil {
		return err
	}
	closes := []func() error{func() error { return os.RemoveAll(dir) }}
	defer func() {
		for _, end := range slices.Backward(closes) {
			err = errors.Join(err, end())
		}
	}()
	c := containerd.New(containerd.Options{})
	closes = append(closes, c.Close)
	var all []held
	for _, r := range []runtime.Server{runc.New(runc.Options{}).(runtime.Server), c} {
		img, err := r.PrepareServer(context.Background(), rundirtest.Web{Echo: rundirtest.Echo{Dir: dir}}, runtime.ServeOptions{Bridge: true})
		if err != nil {
			return err
		}
		closes = append(closes, img.Close)
		s, err := img.Serve(context.Background(), "", ignore)
		if err != nil {
			return err
		}
		closes = append(closes, s.Close)
		if _, err := rundirtest.Get(context.Background(), s, []byte("you")); err != nil {
			return err
		}
		all = append(all, held{s.Scope(), s.(runtime.Networked).Network()})
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		return err
	}
	select {}
}

// The bridges of a killed run go with it, and the networks of its containers with
// those when the next run clears them.
func TestBridgesOfAKilledRun(t *testing.T) {
	host := rundirtest.Watch(t)
	require(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdVar+"=bridge")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []held
	err = json.NewDecoder(out).Decode(&all)
	var bridges, containers []*rundirtest.Witness
	for _, h := range all {
		host.Add(h.Scope)
		bridges = append(bridges, rundirtest.NewWitness(t, h.Network))
		containers = append(containers, rundirtest.NewWitness(t, fmt.Sprintf("/proc/%d/ns/net", h.Scope.Own[0])))
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || len(all) != 2 {
		t.Fatalf("held %+v, %v", all, err)
	}
	for _, w := range bridges {
		w.Gone(t)
	}
	if len(host.Leftovers(t)) == 0 {
		t.Error("the killed process left nothing to sweep")
	}
	if err := rundir.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, w := range containers {
		w.Gone(t)
	}
	for _, left := range host.Leftovers(t) {
		t.Errorf("left behind: %s", left)
	}
}
