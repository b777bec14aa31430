//go:build cgo && wasmedge

package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/second-state/WasmEdge-go/wasmedge"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// Image opens a reactor; see package exchange. Nothing is loaded before the
// first Start.
func (e *Engine) Image(src enginehost.Source) (runtime.Image, error) {
	if err := hostdir.Check(e.opts.Dir); err != nil {
		return nil, err
	}
	file := src.Artifact
	if e.opts.Interpreter {
		file = src.Module
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("opening a WasmEdge image: %w", err)
	}
	return &image{engine: e, src: src, size: info.Size(), conf: e.configure()}, nil
}

// image is a reactor whose instances live in this process.
type image struct {
	engine *Engine
	src    enginehost.Source
	size   int64
	conf   *wasmedge.Configure

	mu     sync.Mutex
	loaded *module // nil until the first Start
}

func (i *image) Bytes() int64 { return i.size }

func (i *image) Close() error {
	err := i.Unload(context.Background())
	i.conf.Release()
	return err
}

// Unload forgets the module; its instances go on.
func (i *image) Unload(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.loaded != nil {
		i.loaded.release()
		i.loaded = nil
	}
	return nil
}

// module returns the module, which the caller releases, and marks Load if it had to be loaded.
func (i *image) module(mark func(runtime.Phase, time.Time)) (*module, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.loaded == nil {
		m, err := i.engine.load(i.conf, i.src)
		if err != nil {
			return nil, err
		}
		i.loaded = m
		mark(runtime.Load, time.Now())
	}
	i.loaded.refs.Add(1)
	return i.loaded, nil
}

// Start marks Load where the module was not in memory yet, Create when it is
// instantiated, Start after _initialize and Ready.
func (i *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	m, err := i.module(mark)
	if err != nil {
		return nil, err
	}
	defer m.release()
	g, err := m.instantiate(i.conf, i.engine.opts)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", i.src.Module, err)
	}
	mark(runtime.Create, time.Now())
	inst := &instance{guest: g}
	if err := inst.begin(ctx, mark); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", i.src.Module, err), inst.Close())
	}
	return inst, nil
}
