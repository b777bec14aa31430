//go:build cgo && wasmedge

package engine

import (
	"context"
	"fmt"

	"github.com/second-state/WasmEdge-go/wasmedge"
)

// An ExitError is a guest that ended itself: with a status other than 0, or
// with any where it was to live on.
type ExitError struct{ Status uint32 }

func (e *ExitError) Error() string { return fmt.Sprintf("the guest exited with status %d", e.Status) }

// noValue is what WasmEdge-go makes of the result of a function that did not
// return: WasmEdge reports a guest that called proc_exit as a success and leaves
// the result as it was, which is of no type.
var noValue any = wasmedge.FuncRef{}

// call runs a function of the guest, which has at most one result. If ctx ends
// first, and the engine is interruptible, the error is the context's cause.
func (g *guest) call(ctx context.Context, f *wasmedge.Function, params ...any) (results []any, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if g.interruptible && ctx.Done() != nil {
		results, err = g.callAsync(ctx, f, params...)
	} else {
		results, err = g.executor.Invoke(f, params...)
	}
	if err != nil {
		if asking := g.failure(); asking != nil && ctx.Err() == nil {
			err = asking
		}
		return nil, fmt.Errorf("calling the guest: %w", err)
	}
	if len(results) == 0 {
		if status := g.status(); status != 0 {
			return nil, &ExitError{status}
		}
	} else if results[0] == noValue {
		return nil, &ExitError{g.status()}
	}
	return results, nil
}

// callAsync calls in a thread that is told to stop when ctx ends.
func (g *guest) callAsync(ctx context.Context, f *wasmedge.Function, params ...any) ([]any, error) {
	async := g.executor.AsyncInvoke(f, params...)
	defer async.Release()
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		async.Cancel()
		close(stopped)
	})
	results, err := async.GetResult()
	if !release() {
		<-stopped
		return nil, context.Cause(ctx)
	}
	return results, err
}

// status returns with what the guest called proc_exit, 0 if it did not.
func (g *guest) status() uint32 {
	if g.wasi == nil {
		return 0
	}
	return uint32(g.wasi.WasiGetExitCode())
}
