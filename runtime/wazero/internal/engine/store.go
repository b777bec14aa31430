package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
)

// clientKey is of the context of a call, and its value the *enginehost.Client of
// the instance that is called.
type clientKey struct{}

// asked returns ctx for the calls of an instance that has the client, or ctx
// itself where it has none.
func asked(ctx context.Context, client *enginehost.Client) context.Context {
	if client == nil {
		return ctx
	}
	return context.WithValue(ctx, clientKey{}, client)
}

// provideStore gives the modules of r the functions of enginehost.StoreModule.
func provideStore(ctx context.Context, r wazero.Runtime) error {
	const i32 = api.ValueTypeI32
	_, err := r.NewHostModuleBuilder(enginehost.StoreModule).
		NewFunctionBuilder().
		WithGoModuleFunction(clients(func(c *enginehost.Client, m api.Memory, args []uint64) (uint32, error) {
			return c.SQL(m, uint32(args[0]), uint32(args[1]), uint32(args[2]), uint32(args[3]))
		}), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}).
		Export(enginehost.StoreSQL).
		NewFunctionBuilder().
		WithGoModuleFunction(clients(func(c *enginehost.Client, m api.Memory, args []uint64) (uint32, error) {
			return c.Again(m, uint32(args[0]), uint32(args[1]))
		}), []api.ValueType{i32, i32}, []api.ValueType{i32}).
		Export(enginehost.StoreSQLAgain).
		Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("instantiating %s: %w", enginehost.StoreModule, err)
	}
	return nil
}

// clients makes a function of the host of what a client does with its instance's
// memory.
func clients(f func(c *enginehost.Client, m api.Memory, args []uint64) (uint32, error)) api.GoModuleFunc {
	return func(ctx context.Context, guest api.Module, stack []uint64) {
		memory := guest.ExportedMemory(exchange.Memory)
		if memory == nil {
			panic(errNoMemory)
		}
		result, err := f(ctx.Value(clientKey{}).(*enginehost.Client), memory, stack)
		if err != nil {
			panic(err) // which wazero makes the error of the guest's call
		}
		stack[0] = uint64(result)
	}
}

var errNoMemory = errors.New("the guest asks for its database and exports no memory")

// checkImports returns an error where m asks for a database and there is none.
func (e *Engine) checkImports(m wazero.CompiledModule) error {
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		if err := enginehost.CheckImport(e.opts.Store, module, name); err != nil {
			return err
		}
	}
	return nil
}
