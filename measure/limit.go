package measure

import (
	"context"
	"fmt"
	"time"
)

// A LimitError says that one start or one call took longer than it may. It
// wraps context.DeadlineExceeded.
type LimitError struct{ Limit time.Duration }

func (e *LimitError) Error() string {
	return fmt.Sprintf("an operation took longer than its limit of %v", e.Limit)
}

// Unwrap returns context.DeadlineExceeded.
func (e *LimitError) Unwrap() error { return context.DeadlineExceeded }

// watchdog returns a context that ends with a *LimitError when the operations
// whose number reset was last given take longer than limit each. After
// reset(0), and before the first, nothing is limited; a limit of 0 is none.
// stop gives back what the watchdog takes.
func watchdog(ctx context.Context, limit time.Duration) (_ context.Context, reset func(operations int), stop func()) {
	if limit <= 0 {
		return ctx, func(int) {}, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(&LimitError{limit}) })
	timer.Stop()
	reset = func(n int) {
		timer.Stop()
		if n > 0 {
			timer.Reset(time.Duration(n) * limit)
		}
	}
	return ctx, reset, func() { timer.Stop(); cancel(nil) }
}
