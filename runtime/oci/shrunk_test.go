package oci_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// containers are the steps in which there are containers, the largest first, but for a
// distribution, which takes minutes to make.
var containers = []workload.Step{workload.StepMultistage, workload.StepDistroless, workload.StepStrip}

// trees returns what the container of a step is made of.
func trees(t *testing.T, w workload.Workload) []string {
	t.Helper()
	all, err := oci.Trees(t.Context(), w, workload.ServerRootFS)
	if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What is stripped has less than what is not. The larger steps are compared by the
// benchmark: to compress a distribution takes the race detector minutes.
func TestEachStepIsSmaller(t *testing.T) {
	var last oci.Sizes
	for n, s := range []workload.Step{workload.StepDistroless, workload.StepStrip} {
		sizes, err := oci.Measure(t.Context(), trees(t, workload.Shrink(workload.Go, s))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", s, sizes)
		if n > 0 && (sizes.Unpacked >= last.Unpacked || sizes.Compressed >= last.Compressed) {
			t.Errorf("%s has %+v, the step before %+v", s, sizes, last)
		}
		last = sizes
	}
}

// What is made twice makes the same image and the same modules. Of the distribution one
// tree is made again, the smallest; no step of Node.js, and of Go not what wasm-opt makes:
// these take minutes, and are made in the same way.
func TestStepsAreReproducible(t *testing.T) {
	gocache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Skip(err)
	}
	digests := func(l workload.Language, steps []workload.Step) (all []string) {
		for _, s := range steps {
			img, err := oci.Pack(t.Context(), trees(t, workload.Shrink(l, s))...)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, img.Digest)
		}
		return all
	}
	modules := func(l workload.Language, steps ...workload.Step) (all []string) {
		for _, s := range steps {
			path, err := workload.Shrink(l, s).Artifact(t.Context(), workload.Reactor)
			if errors.As(err, new(*workload.Unavailable)) && os.Getenv("WASMBENCH_REQUIRE") == "" {
				t.Skip(err)
			}
			b, err2 := os.ReadFile(path)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			all = append(all, string(b))
		}
		return all
	}
	for _, tt := range []struct {
		name string
		make func() []string
	}{
		{"go", func() []string { return digests(workload.Go, containers) }},
		{"modules of c", func() []string { return modules(workload.C, workload.StepBase, workload.StepSize, workload.StepStrip) }},
		{"modules of go", func() []string { return modules(workload.Go, workload.StepBase, workload.StepStrip) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := tt.make()
			t.Setenv("GOCACHE", strings.TrimSpace(string(gocache)))
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			for n, again := range tt.make() {
				if again != first[n] {
					t.Errorf("number %d differs: %.80q is now %.80q", n+1, first[n], again)
				}
			}
		})
	}
}
