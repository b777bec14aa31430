//go:build cgo

package engine

// #include "glue.h"
import "C"

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// Run runs a command with this process's standard streams and the argument
// vector "guest". A status other than 0 is an *ExitError, a trap a *TrapError.
//
// It allocates on demand whatever the API: for the one instance of a process
// a pool would only add to the start.
func (e *Engine) Run(ctx context.Context, src enginehost.Source, loaded func(), placed func([]runtime.Region)) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := hostdir.Check(e.options.Dir); err != nil {
		return err
	}
	c, err := e.onDemand()
	if err != nil {
		return err
	}
	m, err := c.load(src)
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.command(); err != nil {
		return err
	}
	loaded()
	i, err := m.instance(C.wb_stdio{in: true, out: true, err: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	defer i.guard.watch(ctx)()
	if err = i.instantiate(ctx, m); err == nil {
		placed(i.regions())
		err = i.enter(ctx, exchange.Entry)
	}
	var exit *ExitError
	if errors.As(err, &exit) && exit.Status == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", src.Module, err)
	}
	return nil
}
