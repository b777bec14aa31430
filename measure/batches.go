package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Batches makes n batches of size calls of a live instance, one after the other,
// and checks each answer. It is Calls for calls that are shorter than reading the
// clock around each of them: a runtime.BatchTimer times batches where the engine
// is; calls of another instance, through Instance.Call, are timed size at a time.
// Times are of whole batches, so that nothing is lost of what takes less than a
// nanosecond, and the sample's metrics are of one call each.
//
// opts.Limit is for one call on average, and opts.Budget begins no further batch.
func Batches(ctx context.Context, inst runtime.Instance, w workload.Workload, n, size int, opts CallOptions) (CallSample, error) {
	if size < 1 {
		return CallSample{}, fmt.Errorf("a batch of %d calls: it takes 1 or more", size)
	}
	request := w.Request()
	if timer, ok := inst.(runtime.BatchTimer); ok {
		return repeat(ctx, inst, n, opts, repeated{"batches", size, largestBatch, func(ctx context.Context, n int) ([]time.Duration, error) {
			return timer.TimeBatches(ctx, n, size, request, w.Check)
		}})
	}
	return repeat(ctx, inst, n, opts, repeated{"batches", size, 1, func(ctx context.Context, _ int) ([]time.Duration, error) {
		return callBatch(ctx, inst, w, request, size)
	}})
}

// callBatch makes size calls and returns how long they took together.
func callBatch(ctx context.Context, inst runtime.Instance, w workload.Workload, request []byte, size int) ([]time.Duration, error) {
	begin := time.Now()
	for i := range size {
		answer, err := inst.Call(ctx, request)
		if err == nil {
			err = w.Check(answer)
		}
		if err != nil && size > 1 {
			err = fmt.Errorf("after %d of %d calls: %w", i, size, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return []time.Duration{time.Since(begin)}, nil
}
