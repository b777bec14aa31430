package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Fleet is services of one image that run at a time. Its methods are for one
// goroutine at a time.
type Fleet struct {
	img      runtime.ServerImage
	w        workload.Workload
	limit    time.Duration
	services []runtime.Service
}

// NewFleet returns a fleet of img that has no services yet. limit ends with a
// *LimitError when one start takes longer to its first checked answer; 0 is no limit.
// The image stays the caller's, to be closed after the fleet.
func NewFleet(img runtime.ServerImage, w workload.Workload, limit time.Duration) *Fleet {
	return &Fleet{img: img, w: w, limit: limit}
}

// Resize starts services, one after the other, or closes the youngest until there are
// n. Each has answered once. With an error there are those that there were and those
// that could be started, or fewer.
func (f *Fleet) Resize(ctx context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("a fleet of %d services", n)
	}
	for f.Len() > n {
		last := f.Len() - 1
		svc := f.services[last]
		f.services = f.services[:last]
		if err := svc.Close(); err != nil {
			return fmt.Errorf("closing service %d of %d: %w", last+1, last+1, err)
		}
	}
	for f.Len() < n {
		if err := f.start(ctx); err != nil {
			return fmt.Errorf("starting service %d of %d: %w", f.Len()+1, n, err)
		}
	}
	return nil
}

func (f *Fleet) start(ctx context.Context) error {
	if f.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.limit, &LimitError{f.limit})
		defer cancel()
	}
	svc, _, err := FirstResponse(ctx, f.img, f.w)
	if err != nil {
		return because(ctx, err)
	}
	f.services = append(f.services, svc)
	return nil
}

// Len returns how many services there are.
func (f *Fleet) Len() int { return len(f.services) }

// Services returns them, the oldest first.
func (f *Fleet) Services() []runtime.Service { return slices.Clone(f.services) }

// Close closes all services and returns the errors of all. It can be called again.
func (f *Fleet) Close() error {
	var errs []error
	for _, svc := range slices.Backward(f.services) {
		errs = append(errs, svc.Close())
	}
	f.services = nil
	return errors.Join(errs...)
}
