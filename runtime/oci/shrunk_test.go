package oci_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// containers are the steps in which there are containers, the largest first.
var containers = []workload.Step{workload.StepBase, workload.StepMultistage, workload.StepDistroless, workload.StepStrip}

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

// Each step has no more than the one before; only to strip what the distribution has
// stripped already gains nothing.
func TestEachStepIsSmaller(t *testing.T) {
	for _, l := range []workload.Language{workload.Node, workload.Go} {
		t.Run(string(l), func(t *testing.T) {
			steps := containers
			if l == workload.Node {
				steps = steps[1:] // its distribution takes minutes to make
			}
			var last oci.Sizes
			for n, s := range steps {
				sizes, err := oci.Measure(t.Context(), trees(t, workload.Shrink(l, s))...)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %+v", s, sizes)
				same := l.Interpreted() && s == workload.StepStrip && sizes.Unpacked == last.Unpacked
				if n > 0 && !same && (sizes.Unpacked >= last.Unpacked || sizes.Compressed >= last.Compressed) {
					t.Errorf("%s has %+v, the step before %+v", s, sizes, last)
				}
				last = sizes
			}
		})
	}
}

// What is made twice makes the same image and the same modules. Of the distribution one
// tree is made again, the smallest, and of Go not what wasm-opt makes: these take a
// minute, and are made in the same way.
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
		name  string
		large *workload.Shrunk // whose base is taken from the first cache
		make  func() []string
	}{
		{"go", workload.Shrink(workload.Go, workload.StepBase), func() []string { return digests(workload.Go, containers) }},
		{"node", workload.Shrink(workload.Node, workload.StepMultistage), func() []string { return digests(workload.Node, containers[1:]) }},
		{"modules of c", nil, func() []string { return modules(workload.C, workload.StepBase, workload.StepSize, workload.StepStrip) }},
		{"modules of go", nil, func() []string { return modules(workload.Go, workload.StepBase, workload.StepStrip) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := tt.make()
			second := t.TempDir()
			if tt.large != nil {
				base, _, err := tt.large.Base(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				entry := filepath.Dir(base)
				kind := filepath.Join(second, "wasmbench", "base")
				if err := errors.Join(os.MkdirAll(kind, 0o755), os.Symlink(entry, filepath.Join(kind, filepath.Base(entry)))); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("GOCACHE", strings.TrimSpace(string(gocache)))
			t.Setenv("XDG_CACHE_HOME", second)
			for n, again := range tt.make() {
				if again != first[n] {
					t.Errorf("number %d differs: %.80q is now %.80q", n+1, first[n], again)
				}
			}
		})
	}
}
