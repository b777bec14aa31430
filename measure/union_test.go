package measure_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

func TestPopulationScope(t *testing.T) {
	self, parent := os.Getpid(), os.Getppid()
	daemons := slices.Sorted(slices.Values([]int{self, parent}))
	tests := []struct {
		name  string
		scope func(int) runtime.Scope
		want  runtime.Scope
	}{
		{"processes", func(k int) runtime.Scope { return runtime.Scope{Own: []int{1000000 + k}} }, runtime.Scope{Own: []int{1000000, 1000001, 1000002}}},
		{"containers", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{1000000 + k, 2000000 + k}, Shared: []int{self, parent}, Shim: 2000000 + k, Cgroup: fmt.Sprint("/c", k)}
		}, runtime.Scope{Own: []int{1000000, 1000001, 1000002, 2000000, 2000001, 2000002}, Shared: daemons}},
		{"containers that share a shim", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{1000000 + k}, Shared: []int{self}, Shim: self, Cgroup: "/c"}
		}, runtime.Scope{Own: []int{1000000, 1000001, 1000002}, Shared: []int{self}, Shim: self, Cgroup: "/c"}},
		{"somebody's own is another's shared", func(k int) runtime.Scope {
			return runtime.Scope{Own: []int{[]int{self, 1000001, 1000002}[k]}, Shared: []int{self}}
		}, runtime.Scope{Own: []int{self, 1000001, 1000002}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &crowd{scope: tt.scope}
			p := measure.NewPopulation(c, c, roomy(measure.PopulationOptions{Parallel: 1}))
			defer p.Close()
			if err := p.Grow(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			got := p.Scope()
			if !slices.Equal(got.Own, tt.want.Own) || !slices.Equal(got.Shared, tt.want.Shared) || got.Shim != tt.want.Shim || got.Cgroup != tt.want.Cgroup {
				t.Errorf("scope %+v, want %+v", got, tt.want)
			}
		})
	}
}
