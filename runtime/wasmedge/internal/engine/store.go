//go:build cgo && wasmedge

package engine

import (
	"errors"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// A clientFunc does what a client does with the memory of its instance.
type clientFunc func(c *enginehost.Client, m enginehost.Memory, args []uint32) (uint32, error)

// storeModule returns the functions of enginehost.StoreModule for one guest, whose
// client answers them. The caller releases it.
func (g *guest) storeModule() *wasmedge.Module {
	m := wasmedge.NewModule(enginehost.StoreModule)
	g.provide(m, enginehost.StoreSQL, 4, func(c *enginehost.Client, m enginehost.Memory, args []uint32) (uint32, error) {
		return c.SQL(m, args[0], args[1], args[2], args[3])
	})
	g.provide(m, enginehost.StoreSQLAgain, 2, func(c *enginehost.Client, m enginehost.Memory, args []uint32) (uint32, error) {
		return c.Again(m, args[0], args[1])
	})
	return m
}

// provide adds a function of so many i32 to m, that returns one. WasmEdge tells
// nobody why a function of the host fails, so the guest keeps its error.
func (g *guest) provide(m *wasmedge.Module, name string, params int, f clientFunc) {
	i32 := make([]*wasmedge.ValType, params)
	for i := range i32 {
		i32[i] = wasmedge.NewValTypeI32()
	}
	kind := wasmedge.NewFunctionType(i32, []*wasmedge.ValType{wasmedge.NewValTypeI32()})
	defer kind.Release()
	m.AddFunction(name, wasmedge.NewFunction(kind, func(_ any, frame *wasmedge.CallingFrame, params []any) ([]any, wasmedge.Result) {
		g.asked.Lock()
		defer g.asked.Unlock()
		result, err := answer(g.client, frame, params, f)
		if err != nil {
			g.asking = err
			return nil, wasmedge.Result_Fail
		}
		return []any{int32(result)}, wasmedge.Result_Success
	}, nil, 0))
}

// failure returns the error of a function of the database, if one has ended the
// guest.
func (g *guest) failure() error {
	g.asked.Lock()
	defer g.asked.Unlock()
	return g.asking
}

var errNoMemory = errors.New("the guest asks for its database and has no memory")

// answer calls f with the parameters, which WasmEdge has checked.
func answer(c *enginehost.Client, frame *wasmedge.CallingFrame, params []any, f clientFunc) (uint32, error) {
	memory := frame.GetMemoryByIndex(0)
	if memory == nil {
		return 0, errNoMemory
	}
	args := make([]uint32, len(params))
	for i, p := range params {
		args[i] = uint32(p.(int32))
	}
	return f(c, frameMemory{memory}, args)
}

// frameMemory is the memory of a guest that waits for its host.
type frameMemory struct{ memory *wasmedge.Memory }

// Read returns a part of the memory.
func (m frameMemory) Read(address, size uint32) ([]byte, bool) {
	if size == 0 {
		return nil, true
	}
	b, err := m.memory.GetData(uint(address), uint(size))
	return b, err == nil
}
