//go:build cgo

package engine

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime/internal/engine/internal/direct"
)

var request = []byte("a request of thirty-two bytes...")

// BenchmarkCall measures one exchange with a live instance: through this
// package, straight against the C API, and with plain wasmtime-go.
func BenchmarkCall(b *testing.B) {
	src := write(b, reactor(echo))
	wasm, err := os.ReadFile(src.Module)
	if err != nil {
		b.Fatal(err)
	}
	check := func(b *testing.B, call func([]byte) ([]byte, error)) {
		b.ReportAllocs()
		for b.Loop() {
			if answer, err := call(request); err != nil || len(answer) != len(request) {
				b.Fatal(answer, err)
			}
		}
		if answer, _ := call(request); !bytes.Equal(answer, request) {
			b.Fatalf("wrong answer %q", answer)
		}
	}
	b.Run("through=instance", func(b *testing.B) {
		i := mustStart(b, open(b, Options{}), src)
		ctx := b.Context()
		check(b, func(request []byte) ([]byte, error) { return i.Call(ctx, request) })
	})
	engine := wasmtime.NewEngine()
	module, err := wasmtime.NewModule(engine, wasm)
	if err != nil {
		b.Fatal(err)
	}
	store := wasmtime.NewStore(engine)
	defer store.Close()
	instance, err := wasmtime.NewLinker(engine).Instantiate(store, module)
	if err != nil {
		b.Fatal(err)
	}
	at, err := instance.GetFunc(store, exchange.Request).Call(store, int32(firstBuffer))
	if err != nil {
		b.Fatal(err)
	}
	memory := instance.GetExport(store, exchange.Memory).Memory()
	answer := instance.GetFunc(store, exchange.Answer)
	b.Run("through=direct", func(b *testing.B) {
		check(b, direct.New(store, memory, answer, uint32(at.(int32))).Call)
	})
	b.Run("through=wasmtime-go", func(b *testing.B) {
		var buf []byte
		check(b, func(request []byte) ([]byte, error) {
			copy(memory.UnsafeData(store)[at.(int32):], request)
			v, err := answer.Call(store, int32(len(request)))
			if err != nil {
				return nil, err
			}
			ptr, size := exchange.Unpack(uint64(v.(int64)))
			buf = append(buf[:0], memory.UnsafeData(store)[ptr:ptr+size]...)
			return buf, nil
		})
	})
}

// BenchmarkOpenClose measures the life of an instance that is never called:
// through this package with each API, and with plain wasmtime-go.
func BenchmarkOpenClose(b *testing.B) {
	src := write(b, reactor(echo))
	for _, api := range []API{Pooled, Go} {
		b.Run("api="+api.String(), func(b *testing.B) {
			img, err := open(b, Options{API: api}).Image(src)
			if err != nil {
				b.Fatal(err)
			}
			defer img.Close()
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				i, err := img.Start(ctx, unmarked)
				if err != nil {
					b.Fatal(err)
				}
				i.Close()
			}
		})
	}
	b.Run("api=direct", func(b *testing.B) {
		wasm, err := os.ReadFile(src.Module)
		if err != nil {
			b.Fatal(err)
		}
		engine := wasmtime.NewEngine()
		module, err := wasmtime.NewModule(engine, wasm)
		if err != nil {
			b.Fatal(err)
		}
		linker := wasmtime.NewLinker(engine)
		b.ReportAllocs()
		for b.Loop() {
			store := wasmtime.NewStore(engine)
			instance, err := linker.Instantiate(store, module)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := instance.GetFunc(store, exchange.Initialize).Call(store); err != nil {
				b.Fatal(err)
			}
			if _, err := instance.GetFunc(store, exchange.Request).Call(store, int32(firstBuffer)); err != nil {
				b.Fatal(err)
			}
			store.Close()
		}
	})
}

// BenchmarkPool measures what the first start pays for the pool's slots.
func BenchmarkPool(b *testing.B) {
	for b.Loop() {
		e, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := e.pooled(); err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
}
