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

// The containers of the steps start and answer, but for those with a distribution that
// takes minutes to make and of Node.js what others have: the benchmark, which measures none
// that does not answer, has them all.
func TestShrunk(t *testing.T) {
	r := containerd.New(containerd.Options{})
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	for l, steps := range map[workload.Language][]workload.Step{
		workload.Node: {workload.StepDistroless},
		workload.Go:   {workload.StepMultistage, workload.StepDistroless, workload.StepStrip},
	} {
		for _, s := range steps {
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
