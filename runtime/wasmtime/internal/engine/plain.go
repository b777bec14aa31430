//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bytecodealliance/wasmtime-go/v39"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// A plain is an engine of wasmtime-go and a linker that knows WASI.
type plain struct {
	engine *wasmtime.Engine
	linker *wasmtime.Linker
	limit  int64  // bytes of a memory
	dir    string // that guests find as /, "" for none
	store  enginehost.Store
}

func newPlain(o Options) (*plain, error) {
	config := wasmtime.NewConfig()
	config.SetCraneliftOptLevel(wasmtime.OptLevelSpeed)
	p := &plain{engine: wasmtime.NewEngineWithConfig(config), limit: int64(o.MaxMemory), dir: o.Dir, store: o.Store}
	p.linker = wasmtime.NewLinker(p.engine)
	err := p.linker.DefineWasi()
	if err == nil && p.store != nil {
		err = p.defineStore()
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// defineStore adds the functions by which guests reach the store.
func (p *plain) defineStore() error {
	err := p.linker.FuncWrap(enginehost.StoreModule, enginehost.StoreSQL, func(guest *wasmtime.Caller, request, size, answer, capacity int32) (int32, *wasmtime.Trap) {
		return serve(guest, func(c *enginehost.Client, m enginehost.Memory) (uint32, error) {
			return c.SQL(m, uint32(request), uint32(size), uint32(answer), uint32(capacity))
		})
	})
	if err != nil {
		return err
	}
	return p.linker.FuncWrap(enginehost.StoreModule, enginehost.StoreSQLAgain, func(guest *wasmtime.Caller, answer, capacity int32) (int32, *wasmtime.Trap) {
		return serve(guest, func(c *enginehost.Client, m enginehost.Memory) (uint32, error) {
			return c.Again(m, uint32(answer), uint32(capacity))
		})
	})
}

// serve does what a guest asks of the store.
func serve(guest *wasmtime.Caller, f func(*enginehost.Client, enginehost.Memory) (uint32, error)) (int32, *wasmtime.Trap) {
	var memory []byte
	if x := guest.GetExport(exchange.Memory); x != nil && x.Memory() != nil {
		memory = x.Memory().UnsafeData(guest)
	}
	length, err := guest.Data().(*tenant).ask(memory, f)
	if err != nil {
		return 0, wasmtime.NewTrap(err.Error())
	}
	return int32(length), nil
}

func (p *plain) close() {
	p.linker.Close()
	p.engine.Close()
}

// loadPlain loads a reactor with wasmtime-go.
func (e *Engine) loadPlain(src enginehost.Source) (module, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errClosed
	}
	if e.plain == nil {
		p, err := newPlain(e.options)
		if err != nil {
			return nil, err
		}
		e.plain = p
	}
	m := &plainModule{plain: e.plain, artifact: src.Artifact}
	var err error
	if src.Artifact != "" {
		m.module, err = wasmtime.NewModuleDeserializeFile(e.plain.engine, src.Artifact)
	} else {
		var wasm []byte
		if wasm, err = os.ReadFile(src.Module); err == nil {
			m.module, err = wasmtime.NewModule(e.plain.engine, wasm)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("loading with wasmtime-go: %w", worded(err, nil))
	}
	if err := m.shape(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// A plainModule is a module of wasmtime-go.
type plainModule struct {
	*plain
	module     *wasmtime.Module
	artifact   string
	initialize bool
	wasi       bool
	asks       bool // imports what the store is reached by
}

func (m *plainModule) close() { m.module.Close() }

// shape checks that the module is a reactor, and what it imports.
func (m *plainModule) shape() error {
	var memory, request, answer bool
	for _, x := range m.module.Exports() {
		t := x.Type()
		switch x.Name() {
		case exchange.Memory:
			memory = t.MemoryType() != nil
		case exchange.Request:
			request = is(t.FuncType(), wasmtime.KindI32, wasmtime.KindI32)
		case exchange.Answer:
			answer = is(t.FuncType(), wasmtime.KindI32, wasmtime.KindI64)
		case exchange.Initialize:
			f := t.FuncType()
			m.initialize = f != nil && len(f.Params())+len(f.Results()) == 0
		}
	}
	for _, x := range m.module.Imports() {
		var name string
		if x.Name() != nil {
			name = *x.Name()
		}
		if err := enginehost.CheckImport(m.store, x.Module(), name); err != nil {
			return fmt.Errorf("linking: %w", err)
		}
		m.asks = m.asks || x.Module() == enginehost.StoreModule
		m.wasi = m.wasi || x.Module() != enginehost.StoreModule
	}
	return checkReactor(memory, request, answer)
}

// is tells whether f takes one param and returns one result.
func is(f *wasmtime.FuncType, param, result wasmtime.ValKind) bool {
	return f != nil && len(f.Params()) == 1 && f.Params()[0].Kind() == param &&
		len(f.Results()) == 1 && f.Results()[0].Kind() == result
}

func (m *plainModule) open(_ context.Context, mark marker) (runtime.Instance, error) {
	t := newTenant(m.asks, m.store)
	i := &plainInstance{store: wasmtime.NewStoreWithData(m.engine, t), artifact: m.artifact, tenant: t}
	if err := i.open(m, mark); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	mark(runtime.Ready, time.Now())
	return i, nil
}

// worded turns an error of wasmtime-go into one of this package; refused is as for
// failed.
func worded(err, refused error) error {
	var trap *wasmtime.Trap
	var other *wasmtime.Error
	switch {
	case errors.As(err, &trap):
		return failed(trap.Message(), true, -1, refused)
	case errors.As(err, &other):
		status, exited := other.ExitStatus()
		if !exited {
			status = -1
		}
		return failed(other.Error(), false, int(status), refused)
	}
	return err
}
