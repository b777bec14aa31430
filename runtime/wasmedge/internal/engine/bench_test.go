//go:build cgo && wasmedge

package engine_test

import (
	"testing"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime/wasmedge/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkCall sets a call through an Instance beside a bare Executor.Invoke of
// the same function, without request and answer.
func BenchmarkCall(b *testing.B) {
	w := workload.Hello(workload.C)
	path, err := w.Artifact(b.Context(), workload.Reactor)
	if err != nil {
		b.Fatal(err)
	}
	src := source(b, engine.Options{}, path)
	b.Run("through=instance", func(b *testing.B) {
		inst := start(b, open(b, engine.Options{}, src))
		ctx, request := b.Context(), w.Request()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := inst.Call(ctx, request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("through=invoke", func(b *testing.B) {
		vm := wasmedge.NewVMWithConfig(wasmedge.NewConfigure(wasmedge.WASI))
		defer vm.Release()
		if err := vm.LoadWasmFile(src.Artifact); err != nil {
			b.Fatal(err)
		}
		if err := vm.Validate(); err != nil {
			b.Fatal(err)
		}
		if err := vm.Instantiate(); err != nil {
			b.Fatal(err)
		}
		executor, instance := vm.GetExecutor(), vm.GetActiveModule()
		if _, err := executor.Invoke(instance.FindFunction("wasmbench_request"), uint32(4096)); err != nil {
			b.Fatal(err)
		}
		answer := instance.FindFunction("wasmbench_answer")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := executor.Invoke(answer, uint32(5)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpenClose starts and closes instances of a module in memory.
func BenchmarkOpenClose(b *testing.B) {
	path, err := workload.Hello(workload.C).Artifact(b.Context(), workload.Reactor)
	if err != nil {
		b.Fatal(err)
	}
	img := open(b, engine.Options{}, source(b, engine.Options{}, path))
	start(b, img)
	b.ReportAllocs()
	for b.Loop() {
		inst, err := img.Start(b.Context(), unmarked)
		if err != nil {
			b.Fatal(err)
		}
		if err := inst.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
