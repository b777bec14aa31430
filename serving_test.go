package wasmbench

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A way is one in which a guest serves on a runtime.
type way struct {
	serve, net string // the values of their keys
	options    runtime.ServeOptions
}

func (w way) String() string { return "serve=" + w.serve + "/net=" + w.net }

// ways returns those that a runtime has: modules are served by a pool of instances
// or a fresh one for each request, containers on the host's network or, where it is
// asked for, on a bridge too. A fresh one is left out where it is not there by
// default and no flag asks for it.
func ways(c *candidate, bridged, fresh bool) (all []way) {
	switch {
	case contains(c.Name()):
		all = append(all, way{serve: "process", net: "host"})
		if bridged {
			all = append(all, way{serve: "process", net: "bridge", options: runtime.ServeOptions{Bridge: true}})
		}
		return all
	case c.Name() == "native":
		return []way{{serve: "process", net: "host"}}
	}
	if c.Name() != "spin" && wanted(*flagServe, "pool", true) { // which has none

		all = append(all, way{serve: "pool", net: "host", options: runtime.ServeOptions{Pool: poolSize()}})
	}
	if wanted(*flagServe, "fresh", fresh) {
		all = append(all, way{serve: "fresh", net: "host"})
	}
	return all
}

// servers is a guest made ready to serve on a runtime, in every way that a
// benchmark asks for.
type servers struct {
	candidate *candidate
	workload  workload.Workload
	made      map[way]runtime.ServerImage
}

// eachServing runs f for every cell of a table, with the guest prepared to serve
// there in one way, so that what is absent has been said.
func eachServing(b *testing.B, t table, f func(*testing.B, cell[*servers])) {
	eachCell(b, t, func(ctx context.Context, c *candidate, w workload.Workload) (*servers, error) {
		s := &servers{candidate: c, workload: w, made: map[way]runtime.ServerImage{}}
		var err error
		if all := ways(c, false, true); len(all) > 0 {
			_, err = s.image(ctx, all[0])
		}
		return s, err
	}, f)
}

// image returns the guest made ready to serve in a way.
func (s *servers) image(ctx context.Context, w way) (runtime.ServerImage, error) {
	if img, ok := s.made[w]; ok {
		return img, nil
	}
	server, ok := s.candidate.Runtime.(runtime.Server)
	if !ok {
		return nil, &runtime.Unavailable{What: "runtime " + s.candidate.Name() + " as a server", Why: "it cannot serve", Fix: "choose another runtime", Err: workload.ErrNoForm}
	}
	img, err := server.PrepareServer(ctx, s.workload, w.options)
	if err == nil {
		s.made[w] = img
	}
	return img, err
}

// forget closes the image of a way. A host that holds instances lives as long as that,
// and with it the database that they have had.
func (s *servers) forget(w way) error {
	img, ok := s.made[w]
	if !ok || kept(img) {
		return nil
	}
	delete(s.made, w)
	return img.Close()
}

// Close closes all images.
func (s *servers) Close() (err error) {
	for _, img := range s.made {
		err = errors.Join(err, img.Close())
	}
	return err
}

// A demand is what services are asked for: a script and how often.
type demand struct {
	measure.Script
	rate float64 // requests a second of an open loop; 0 is a closed one
}

// plan is how long and by how many users services are asked.
func (d demand) plan() load.Plan {
	return load.Plan{
		Connections: *flagConnections,
		Pipelining:  *flagPipelining,
		Rate:        d.rate,
		Warmup:      *flagHTTPWarmup,
		Duration:    *flagHTTPTime,
		Timeout:     *flagOpLimit,
	}
}

// exchanges is the demand for a workload's own requests.
func exchanges(b *testing.B, svc runtime.Service, w workload.Workload) demand {
	b.Helper()
	ctx, cancel := limited(b)
	defer cancel()
	all, err := measure.Exchanges(ctx, svc, w)
	if err != nil {
		b.Fatal(err)
	}
	p, err := json.Marshal(load.Exchanges(all))
	if err != nil {
		b.Fatal(err)
	}
	return demand{Script: measure.Script{Scenario: "exchanges", Parameters: p}}
}

// A visit is a load on a service that begins before it and ends after it.
type visit struct {
	before func() error // the service begins; may be nil
	ask    func(runtime.Service) demand
	after  func(*measure.Serving) error // the load has ended; may be nil
}

// lastingServed measures a service of a cell under the load of a visit.
func lastingServed(b *testing.B, c cell[*servers], w way, v visit) {
	lasting(b, func() []measure.Metric {
		if v.before != nil {
			if err := errors.Join(c.image.forget(w), v.before()); err != nil {
				b.Fatal(err)
			}
		}
		img, err := c.image.image(b.Context(), w)
		if err != nil {
			absent(b, c.language, c.Name(), err)
		}
		svc := serve(b, img, c.workload)
		defer closeInstance(b, svc)
		d := v.ask(svc)
		s, err := measure.Serve(b.Context(), []runtime.Service{svc}, d.plan(), d.Script, measure.ServingOptions{})
		if err == nil && v.after != nil {
			err = v.after(s)
		}
		if err != nil {
			b.Fatal(err)
		}
		return served(b, s)
	})
}

// served returns the figures of a load, and tells what is wrong with them.
func served(b *testing.B, s *measure.Serving) []measure.Metric {
	b.Helper()
	if err := s.Err(); err != nil {
		comment("%s: %s", b.Name(), oneLine(err.Error()))
	}
	if s.Short() {
		comment("%s: %.1f%% of the offered rate was achieved: its latencies are those of a queue that grows, here or, by lag-p99-ns, in the load generator", b.Name(), 100*s.Result.Achieved())
	}
	tellSkew(b, s)
	return s.Metrics()
}

// tellSkew says of windows whose processor time is uncertain.
func tellSkew(b *testing.B, windows ...*measure.Serving) {
	b.Helper()
	for i, s := range windows {
		if s.Skewed() {
			comment("%s: the processor time of window %d of %d is uncertain: it was read %v after %v began to count and %v after they ended, for this machine was too busy", b.Name(), i+1, len(windows), s.BeginLate, s.Result.Elapsed, s.EndLate)
		}
	}
}

// limited returns a context that ends when one start or request has taken too long.
func limited(b *testing.B) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(b.Context(), *flagOpLimit, &measure.LimitError{Limit: *flagOpLimit})
}

// serve starts a service outside every clock and returns it when it has answered.
func serve(b *testing.B, img runtime.ServerImage, w workload.Workload) runtime.Service {
	b.Helper()
	ctx, cancel := limited(b)
	defer cancel()
	svc, _, err := measure.FirstResponse(ctx, img, w)
	if err != nil {
		b.Fatal(err)
	}
	return svc
}
