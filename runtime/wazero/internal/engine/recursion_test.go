package engine_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// calls counts the calls of every function of a module.
type calls map[uint32]int

func (c calls) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	return experimental.FunctionListenerFunc(func(context.Context, api.Module, api.FunctionDefinition, []uint64, experimental.StackIterator) {
		c[f.Index()]++
	})
}

// The module of fibonacci calls one function as often as the plain recursion
// does: no compiler made a loop of it or merged equal calls.
func TestFibonacciIsRecursive(t *testing.T) {
	w, err := workload.Fibonacci(workload.C, 20)
	if err != nil {
		t.Fatal(err)
	}
	path, err := w.Artifact(t.Context(), workload.Reactor)
	if err != nil {
		t.Fatal(err)
	}
	count := calls{}
	ctx := experimental.WithFunctionListenerFactory(context.Background(), count)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	m, err := r.InstantiateWithConfig(ctx, read(t, path), wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	request := w.Request()
	ptr, err := m.ExportedFunction("wasmbench_request").Call(ctx, uint64(len(request)))
	if err != nil || !m.Memory().Write(uint32(ptr[0]), request) {
		t.Fatal("the request could not be placed: ", err)
	}
	if _, err := m.ExportedFunction("wasmbench_answer").Call(ctx, uint64(len(request))); err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, n := range count {
		most = max(most, n)
	}
	const want = 2*10946 - 1 // fib(20) takes 2*F(21)-1 calls
	if most != want {
		t.Errorf("the function called most often was called %d times, want %d", most, want)
	}
}
