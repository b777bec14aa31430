package runc

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkFirstByte compares Start, which mounts the root file system too,
// with runc run called by hand on a bundle that is ready.
func BenchmarkFirstByte(b *testing.B) {
	r := New(Options{})
	_, err := r.Probe(b.Context())
	rundirtest.Require(b, r.Name(), err)
	prepared, err := r.Prepare(b.Context(), rundirtest.Echo{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	img := prepared.(*image)
	defer img.Close()

	var load, stop []time.Duration
	byInstance := func() time.Duration {
		line := runtime.NewTimeline(time.Now())
		inst, err := img.Start(b.Context(), line.Mark)
		took := line.FirstAnswer()
		load = append(load, line.Durations[runtime.Load])
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := inst.Close(); err != nil {
			b.Fatal(err)
		}
		stop = append(stop, time.Since(begin))
		return took
	}
	hand := 0
	byHand := func() time.Duration {
		hand++
		c := img.container(fmt.Sprintf("hand%d", hand))
		if err := img.bundle(c, oci.Container{}); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(img.runc, "--root", img.dir.Path("runc"), "run", "--bundle", c.bundle, c.id)
		cmd.Stderr = os.Stderr
		took := rundirtest.FirstByte(b, cmd)
		if err := rundir.Unmount(c.bundle + "/rootfs"); err != nil {
			b.Fatal(err)
		}
		return took
	}
	rundirtest.Compare(b, "instance", "hand", byInstance, byHand)
	b.ReportMetric(rundirtest.Median(load), "load-ns")
	b.ReportMetric(rundirtest.Median(stop), "stop-ns")
}

func BenchmarkLives(b *testing.B) { rundirtest.Lives(b, New(Options{})) }

// BenchmarkCrowd is for -benchtime 200x: each sub-benchmark holds b.N containers.
func BenchmarkCrowd(b *testing.B) {
	r := New(Options{})
	_, err := r.Probe(b.Context())
	rundirtest.Require(b, r.Name(), err)
	w := workload.Hello(workload.C)
	img, err := r.Prepare(b.Context(), w)
	if err != nil {
		b.Fatal(err)
	}
	rundirtest.Crowds(b, img, w)
	if err := img.Close(); err != nil {
		b.Error(err)
	}
}

func BenchmarkBridge(b *testing.B) { rundirtest.Bridged(b, New(Options{})) }
