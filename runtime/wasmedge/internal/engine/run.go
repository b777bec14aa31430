//go:build cgo && wasmedge

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// Run runs a command with this process's standard files and the argument
// vector "guest". A status other than 0 is an *ExitError.
func (e *Engine) Run(ctx context.Context, src enginehost.Source, loaded func(), placed func([]runtime.Region)) (err error) {
	if err := hostdir.Check(e.opts.Dir); err != nil {
		return err
	}
	conf := e.configure()
	defer conf.Release()
	m, err := e.load(conf, src)
	if err != nil {
		return err
	}
	defer m.release()
	loaded()
	g, err := m.instantiate(conf, e.opts)
	if err == nil {
		defer func() { err = errors.Join(err, g.close()) }()
		placed(g.regions())
		err = g.enter(ctx)
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", src.Module, err)
	}
	return nil
}

// enter runs _start.
func (g *guest) enter(ctx context.Context) error {
	start := g.instance.FindFunction(exchange.Entry)
	if start == nil {
		return &exportError{exchange.Entry, "() -> ()"}
	}
	_, err := g.call(ctx, start)
	return err
}
