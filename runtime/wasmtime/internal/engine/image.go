//go:build cgo

package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

type marker = func(runtime.Phase, time.Time)

// An image is a reactor, loaded at its first start.
type image struct {
	engine *Engine
	src    enginehost.Source
	size   int64

	mu     sync.RWMutex
	module module // nil before the first start
	closed bool
}

var _ runtime.Unloader = (*image)(nil)

// Bytes is the size of the artefact, or of the module if there is none.
func (img *image) Bytes() int64 { return img.size }

// Start makes an instance and initializes it.
func (img *image) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	img.mu.RLock()
	if img.module == nil {
		img.mu.RUnlock()
		if err := img.load(); err != nil {
			return nil, err
		}
		mark(runtime.Load, time.Now())
		img.mu.RLock()
	}
	defer img.mu.RUnlock()
	if img.module == nil {
		return nil, errors.New("the image was closed or unloaded while it started")
	}
	return img.module.open(ctx, mark)
}

func (img *image) load() error {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.closed {
		return errors.New("the image is closed")
	}
	if img.module != nil {
		return nil
	}
	m, err := img.engine.load(img.src)
	if err != nil {
		return err
	}
	img.module = m
	return nil
}

// Unload forgets the module. The engine stays, with its pool and WASI linker.
func (img *image) Unload(context.Context) error {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.module != nil {
		img.module.close()
		img.module = nil
	}
	return nil
}

// Close forgets the module for good. Closing it again does nothing.
func (img *image) Close() error {
	img.mu.Lock()
	img.closed = true
	img.mu.Unlock()
	return img.Unload(context.Background())
}
