package rundirtest

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Lives reports the medians, in ns, of what an instance of the runtime can do
// beside a call: to be started, stopped, restarted, paused and resumed, and to
// serve its first request.
func Lives(b *testing.B, r runtime.Runtime) {
	_, err := r.Probe(b.Context())
	Require(b, r.Name(), err)
	dir := b.TempDir()
	img, err := r.Prepare(b.Context(), Echo{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	server, err := r.(runtime.Server).PrepareServer(b.Context(), Web{Echo{Dir: dir}}, runtime.ServeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	took := map[string][]time.Duration{}
	timed := func(what string, do func() error) {
		b.Helper()
		begin := time.Now()
		err := do()
		took[what] = append(took[what], time.Since(begin))
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		var inst runtime.Instance
		timed("start", func() (err error) {
			inst, err = img.Start(b.Context(), ignore)
			return err
		})
		timed("stop", func() error { return inst.(runtime.Restarter).Stop(b.Context()) })
		timed("restart", func() error { return inst.(runtime.Restarter).Restart(b.Context(), ignore) })
		timed("pause", func() error { return inst.(runtime.Pauser).Pause(b.Context()) })
		timed("resume", func() error { return inst.(runtime.Pauser).Resume(b.Context()) })
		timed("close", inst.Close)
		var s runtime.Service
		timed("first-200", func() (err error) {
			if s, err = server.Serve(b.Context(), "", ignore); err == nil {
				_, err = Get(b.Context(), s, []byte("you"))
			}
			return err
		})
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	for what, d := range took {
		b.ReportMetric(Median(d), what+"-ns")
	}
	if err := errors.Join(img.Close(), server.Close()); err != nil {
		b.Error(err)
	}
}

// Bridged compares a server's start to its first answer on a bridge with that in
// the host's network.
func Bridged(b *testing.B, r runtime.Runtime) {
	_, err := r.Probe(b.Context())
	Require(b, r.Name(), err)
	w := workload.Hello(workload.Go)
	first := func(bridged bool) func() time.Duration {
		img, err := r.(runtime.Server).PrepareServer(b.Context(), w, runtime.ServeOptions{Bridge: bridged})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := img.Close(); err != nil {
				b.Error(err)
			}
		})
		return func() time.Duration {
			begin := time.Now()
			s, err := img.Serve(b.Context(), "", ignore)
			if err != nil {
				b.Fatal(err)
			}
			_, err = Get(b.Context(), s, w.Request())
			took := time.Since(begin)
			if err := errors.Join(err, s.Close()); err != nil {
				b.Fatal(err)
			}
			return took
		}
	}
	Compare(b, "bridge", "host", first(true), first(false))
}
