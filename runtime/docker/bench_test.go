package docker_test

import (
	"cmp"
	"errors"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/docker"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// both returns the images of the Go hello on docker and on containerd.
func both(b *testing.B, options docker.Options) (ours, theirs runtime.Image) {
	b.Helper()
	rundirtest.Watch(b)
	b.Setenv("DOCKER_HOST", "")
	d, c := docker.New(options), containerd.New(containerd.Options{})
	b.Cleanup(func() { d.Close(); c.Close() })
	var images []runtime.Image
	for _, r := range []runtime.Runtime{d, c} {
		_, err := r.Probe(b.Context())
		rundirtest.Require(b, r.Name(), err)
		img, err := r.Prepare(b.Context(), workload.Hello(workload.Go))
		if err != nil {
			b.Fatal(err)
		}
		images = append(images, img)
	}
	return images[0], images[1]
}

// BenchmarkFirstAnswer compares a start on docker, with the network of the
// benchmark's name, to one on containerd.
func BenchmarkFirstAnswer(b *testing.B) {
	w := workload.Hello(workload.Go)
	for _, network := range []string{"", "none", "host"} {
		b.Run("network="+cmp.Or(network, "empty"), func(b *testing.B) {
			ours, theirs := both(b, docker.Options{Private: true, Network: network})
			phases := map[runtime.Phase][]time.Duration{}
			first := func(img runtime.Image, phases map[runtime.Phase][]time.Duration) func() time.Duration {
				return func() time.Duration {
					line, err := runtime.TimeStart(b.Context(), img, w.Request(), w.Check)
					if err != nil {
						b.Fatal(err)
					}
					for _, p := range runtime.Phases() {
						phases[p] = append(phases[p], line.Durations[p])
					}
					return line.FirstAnswer()
				}
			}
			rundirtest.Compare(b, "docker", "containerd", first(ours, phases), first(theirs, map[runtime.Phase][]time.Duration{}))
			for p, d := range phases {
				b.ReportMetric(rundirtest.Median(d), p.String()+"-ns")
			}
		})
	}
}

// BenchmarkCall compares a call through Docker's connection with one through
// containerd's FIFOs.
func BenchmarkCall(b *testing.B) {
	ours, theirs := both(b, docker.Options{Private: true})
	w := workload.Hello(workload.Go)
	call := func(img runtime.Image) func() time.Duration {
		inst, err := img.Start(b.Context(), ignore)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { inst.Close() })
		return func() time.Duration {
			begin := time.Now()
			if _, err := inst.Call(b.Context(), w.Request()); err != nil {
				b.Fatal(err)
			}
			return time.Since(begin)
		}
	}
	rundirtest.Compare(b, "docker", "containerd", call(ours), call(theirs))
}

// BenchmarkRestart times a restart to the greeting, and a pause and a resume.
func BenchmarkRestart(b *testing.B) {
	ours, _ := both(b, docker.Options{Private: true})
	inst, err := ours.Start(b.Context(), ignore)
	if err != nil {
		b.Fatal(err)
	}
	defer inst.Close()
	restarter, pauser := inst.(runtime.Restarter), inst.(runtime.Pauser)
	var took [4][]time.Duration
	for b.Loop() {
		for i, step := range []func() error{
			func() error { return restarter.Stop(b.Context()) },
			func() error { return restarter.Restart(b.Context(), ignore) },
			func() error { return pauser.Pause(b.Context()) },
			func() error { return pauser.Resume(b.Context()) },
		} {
			begin := time.Now()
			if err := step(); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(begin))
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"stop-ns", "restart-ns", "pause-ns", "resume-ns"} {
		b.ReportMetric(rundirtest.Median(took[i]), name)
	}
}

// BenchmarkCrowd is for -benchtime 200x: each sub-benchmark holds b.N containers.
func BenchmarkCrowd(b *testing.B) {
	b.Setenv("DOCKER_HOST", "")
	r := docker.New(docker.Options{Private: true})
	_, err := r.Probe(b.Context())
	rundirtest.Require(b, r.Name(), err)
	w := workload.Hello(workload.C)
	img, err := r.Prepare(b.Context(), w)
	if err != nil {
		b.Fatal(err)
	}
	rundirtest.Crowds(b, img, w)
	if err := errors.Join(img.Close(), r.Close()); err != nil {
		b.Error(err)
	}
}

func BenchmarkBridge(b *testing.B) {
	b.Setenv("DOCKER_HOST", "")
	r := docker.New(docker.Options{Private: true})
	b.Cleanup(func() { r.Close() })
	rundirtest.Bridged(b, r)
}
