package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// The modules of the guests that hold data, the command in a process and the
// reactor in one with others, answer as their executables do.
func TestApps(t *testing.T) {
	questions := []string{"", " 1", "-1", "one", "007", "000000007", "0000000007", "4294967296", "18446744073709551617"}
	for _, n := range []int{0, 1, 9, 15, 16, 699, 2048, 4095, 4096} {
		questions = append(questions, fmt.Sprint(n))
	}
	ask := func(t *testing.T, r runtime.Runtime, w workload.Workload) (answers []string) {
		inst, _, err := runtime.FirstAnswer(t.Context(), prepare(t, r, w), w.Request(), w.Check)
		if err != nil {
			t.Fatal(err)
		}
		defer inst.Close()
		for _, q := range questions {
			answer, err := inst.Call(t.Context(), []byte(q))
			if err != nil {
				t.Fatalf("%q: %v", q, err)
			}
			answers = append(answers, string(answer))
		}
		return answers
	}
	for _, l := range []workload.Language{workload.C, workload.Go} {
		for _, name := range workload.Apps()[1:] {
			t.Run(name+"/"+string(l), func(t *testing.T) {
				w, err := workload.App(name, l)
				if err != nil {
					t.Fatal(err)
				}
				available(t, native.New())
				right := ask(t, native.New(), w)
				each(t, func(t *testing.T, r runtime.Runtime) {
					if l == workload.Go && !slices.Contains([]string{"wazero-embedded", "wasmtime"}, r.Name()) {
						return // compiling or interpreting what Go makes takes long, WasmEdge a minute
					}
					for i, answer := range ask(t, r, w) {
						if answer != right[i] {
							t.Errorf("%q is answered %q, want %q", questions[i], answer, right[i])
						}
					}
				})
			})
		}
	}
}
