package containerd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/gotool"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkFirstByte compares Start with ctr run, which uses the same daemon
// and the same image.
func BenchmarkFirstByte(b *testing.B) {
	r := New(Options{})
	_, err := r.Probe(b.Context())
	rundirtest.Require(b, r.Name(), err)
	defer r.Close()
	ctr, err := gotool.Ctr.Find(b.Context(), "ctr")
	if err != nil {
		b.Fatal(err)
	}
	prepared, err := r.Prepare(b.Context(), rundirtest.Echo{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	img := prepared.(*image)
	defer img.Close()

	phases := map[runtime.Phase][]time.Duration{}
	byClient := func() time.Duration {
		line := runtime.NewTimeline(time.Now())
		inst, err := img.Start(b.Context(), line.Mark)
		took := line.FirstAnswer()
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range []runtime.Phase{runtime.Load, runtime.Create, runtime.Start, runtime.Ready} {
			phases[p] = append(phases[p], line.Durations[p])
		}
		begin := time.Now()
		if err := inst.Close(); err != nil {
			b.Fatal(err)
		}
		phases[runtime.Stop] = append(phases[runtime.Stop], time.Since(begin))
		return took
	}
	byCtr := func() time.Duration {
		id := fmt.Sprintf("ctr%d", img.link.last.Add(1))
		cmd := exec.Command(ctr, "--address", img.link.address, "--namespace", img.link.namespace, "run", "--rm",
			"--fifo-dir", img.link.dir.Path(), "--runc-binary", img.link.runc, "--runc-root", img.link.dir.Path("runc"),
			"--cgroup", img.link.dir.Cgroup(id), img.name, id)
		cmd.Env = append(os.Environ(), "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=true")
		return rundirtest.FirstByte(b, cmd)
	}
	rundirtest.Compare(b, "client", "ctr", byClient, byCtr)
	for p, d := range phases {
		b.ReportMetric(rundirtest.Median(d), p.String()+"-ns")
	}
}

func BenchmarkLives(b *testing.B) {
	r := New(Options{})
	rundirtest.Lives(b, r)
	if err := r.Close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkCrowd is for -benchtime 200x: each sub-benchmark holds b.N containers.
func BenchmarkCrowd(b *testing.B) {
	for _, shared := range []bool{false, true} {
		b.Run(fmt.Sprintf("shared=%v", shared), func(b *testing.B) {
			r := New(Options{})
			if shared {
				r = r.SharedShim()
			}
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
		})
	}
}

func BenchmarkBridge(b *testing.B) {
	r := New(Options{})
	b.Cleanup(func() { r.Close() })
	rundirtest.Bridged(b, r)
}
