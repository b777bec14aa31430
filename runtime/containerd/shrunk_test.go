package containerd_test

import (
	"errors"
	"os"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/containerd"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// The container of every step starts and answers, but for one whose distribution takes
// minutes to make: the benchmark, which measures none that does not answer, has that.
func TestShrunk(t *testing.T) {
	r := containerd.New(containerd.Options{})
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	for _, l := range []workload.Language{workload.Node, workload.Go} {
		for _, s := range []workload.Step{workload.StepBase, workload.StepMultistage, workload.StepDistroless, workload.StepStrip} {
			if l == workload.Node && s == workload.StepBase {
				continue
			}
			t.Run(string(l)+"/"+string(s), func(t *testing.T) {
				w := workload.Shrink(l, s)
				img, err := r.PrepareServer(t.Context(), w, runtime.ServeOptions{})
				if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := img.Close(); err != nil {
						t.Error(err)
					}
				}()
				svc, tl, err := measure.FirstResponse(t.Context(), img, w)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("the first answer after %v", tl.FirstAnswer())
				if err := svc.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
