package rundirtest

import (
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// Compare times ours and theirs once in each iteration, in random order, and
// reports the median of both in ns and the ratio of the medians. The two return
// what they timed.
func Compare(b *testing.B, ours, theirs string, time1, time2 func() time.Duration) {
	b.Helper()
	var d1, d2 []time.Duration
	for b.Loop() {
		if rand.IntN(2) == 0 {
			d1 = append(d1, time1())
			d2 = append(d2, time2())
		} else {
			d2 = append(d2, time2())
			d1 = append(d1, time1())
		}
	}
	m1, m2 := Median(d1), Median(d2)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(m1, ours+"-ns")
	b.ReportMetric(m2, theirs+"-ns")
	b.ReportMetric(m1/m2, "ratio")
}

// Median returns the median of d, which it sorts, in ns.
func Median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[(len(d)-1)/2]+d[len(d)/2]) / 2
}

// FirstByte runs cmd until the guest in it has greeted and returns how long
// that took. Then it closes the guest's input and waits for cmd.
func FirstByte(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	var greeting [4]byte
	_, err = io.ReadFull(out, greeting[:])
	took := time.Since(begin)
	if err != nil || string(greeting[:]) != "wb1\n" {
		b.Fatalf("the guest of %v wrote %q: %v", cmd, greeting, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%v: %v", cmd, err)
	}
	return took
}
