package containerd_test

import (
	"context"
	"fmt"
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

// servers starts a server on a bridge on both runtimes and returns what they are.
func (h *holding) servers() (all []held, err error) {
	c := containerd.New(containerd.Options{})
	h.add(c.Close)
	for _, r := range []runtime.Server{runc.New(runc.Options{}).(runtime.Server), c} {
		img, err := r.PrepareServer(context.Background(), rundirtest.Web{Echo: rundirtest.Echo{Dir: h.dir}}, runtime.ServeOptions{Bridge: true})
		if err != nil {
			return nil, err
		}
		h.add(img.Close)
		s, err := img.Serve(context.Background(), "", ignore)
		if err != nil {
			return nil, err
		}
		h.add(s.Close)
		if _, err := rundirtest.Get(context.Background(), s, []byte("you")); err != nil {
			return nil, err
		}
		all = append(all, held{s.Scope(), s.(runtime.Networked).Network()})
	}
	return all, nil
}

// The bridges of a killed run go with it, and the networks of its containers with
// those when the next run clears them.
func TestBridgesOfAKilledRun(t *testing.T) {
	host := rundirtest.Watch(t)
	require(t)
	var all []held
	var bridges, containers []*rundirtest.Witness
	heldAndKilled(t, "bridge", &all, func() {
		for _, h := range all {
			host.Add(h.Scope)
			bridges = append(bridges, rundirtest.NewWitness(t, h.Network))
			containers = append(containers, rundirtest.NewWitness(t, fmt.Sprintf("/proc/%d/ns/net", h.Scope.Own[0])))
		}
	})
	if len(all) != 2 {
		t.Fatalf("held %+v", all)
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
