package engine_test

import (
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero/internal/engine"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// BenchmarkCall sets a call through an Instance beside the same exchange
// written against wazero: request in, call, answer out.
func BenchmarkCall(b *testing.B) {
	w := workload.Hello(workload.C)
	path, err := w.Artifact(b.Context(), workload.Reactor)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("through=instance", func(b *testing.B) {
		inst := start(b, open(b, engine.Options{}, enginehost.Source{Module: path}))
		ctx, request := context.Background(), w.Request()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := inst.Call(ctx, request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("through=direct", func(b *testing.B) { benchmarkDirect(b, path, w) })
}

func benchmarkDirect(b *testing.B, path string, w workload.Workload) {
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, read(b, path))
	if err != nil {
		b.Fatal(err)
	}
	m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		b.Fatal(err)
	}
	ptr, err := m.ExportedFunction("wasmbench_request").Call(ctx, 4096)
	if err != nil {
		b.Fatal(err)
	}
	memory, answer, request := m.Memory(), m.ExportedFunction("wasmbench_answer"), w.Request()
	var stack [1]uint64
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		memory.Write(uint32(ptr[0]), request)
		stack[0] = uint64(len(request))
		if err := answer.CallWithStack(ctx, stack[:]); err != nil {
			b.Fatal(err)
		}
		view, ok := memory.Read(uint32(stack[0]>>32), uint32(stack[0]))
		if !ok {
			b.Fatal("out of bounds")
		}
		out = append(out[:0], view...)
	}
	if err := w.Check(out); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpenClose sets starting and closing an instance beside the same
// written against wazero with its defaults.
func BenchmarkOpenClose(b *testing.B) {
	path, err := workload.Hello(workload.C).Artifact(b.Context(), workload.Reactor)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("through=image", func(b *testing.B) {
		img := open(b, engine.Options{}, enginehost.Source{Module: path})
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
	})
	b.Run("through=direct", func(b *testing.B) {
		ctx := context.Background()
		r := wazero.NewRuntime(ctx)
		defer r.Close(ctx)
		compiled, err := r.CompileModule(ctx, read(b, path))
		if err != nil {
			b.Fatal(err)
		}
		config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize")
		b.ReportAllocs()
		for b.Loop() {
			m, err := r.InstantiateModule(ctx, compiled, config)
			if err != nil {
				b.Fatal(err)
			}
			if err := m.Close(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func read(b testing.TB, path string) []byte {
	b.Helper()
	wasm, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return wasm
}
