package measure

import (
	"context"
	"time"
)

// sample calls op n times with the harness quiet, one after the other, until
// budget is spent, and at least once if n is not 0. op calls reset(1) where its
// clock begins: from there to its end it may take limit.
func sample(ctx context.Context, n int, budget, limit time.Duration, op func(ctx context.Context, reset func(operations int)) error) error {
	defer quiet()()
	ctx, reset, stop := watchdog(ctx, limit)
	defer stop()
	begin := time.Now()
	for i := 0; i < n && (budget == 0 || i == 0 || time.Since(begin) < budget); i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		reset(0)
		if err := op(ctx, reset); err != nil {
			return err
		}
	}
	return nil
}
