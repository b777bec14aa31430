package engine_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Requests to a service start instances at the same time, while others are
// called and closed, and the module may be forgotten meanwhile.
func TestConcurrentStarts(t *testing.T) {
	path, err := workload.Hello(workload.C).Artifact(t.Context(), workload.Reactor)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []engine.Options{{}, {Interpreter: true}} {
		artifact := filepath.Join(t.TempDir(), "artifact")
		if err := engine.New(opts).Compile(t.Context(), path, artifact); err != nil {
			t.Fatal(err)
		}
		img := open(t, opts, enginehost.Source{Module: path, Artifact: artifact})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 20 {
					if i == 0 && j%4 == 3 {
						if err := img.(runtime.Unloader).Unload(t.Context()); err != nil {
							t.Error(err)
						}
					}
					inst, err := img.Start(t.Context(), unmarked)
					if err != nil {
						t.Error(err)
						return
					}
					name := fmt.Sprintf("%d of %d", j, i)
					if answer, err := inst.Call(t.Context(), []byte(name)); err != nil || string(answer) != "Hello, "+name+"!" {
						t.Errorf("%s was answered %q, error %v", name, answer, err)
					}
					if err := inst.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
}
