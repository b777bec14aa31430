package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// lateEnd is for how long the end of a service is waited for whose requests have
// failed: they learn of it before whoever looks after it does.
const lateEnd = 250 * time.Millisecond

// ErrServiceEnded is wrapped by the errors about a service that has ended by itself
// while it was needed.
var ErrServiceEnded = errors.New("the service ended")

// ended makes of what came of a load an error that names the services that have
// ended.
func ended(ctx context.Context, services []runtime.Service, result *load.Result, err error) error {
	var wait time.Duration
	if ctx.Err() == nil && (err != nil || result.Failed > 0) {
		wait = lateEnd
	}
	dead := endings(services)
	for begin := time.Now(); len(dead) == 0 && time.Since(begin) < wait; dead = endings(services) {
		time.Sleep(time.Millisecond)
	}
	switch {
	case len(dead) == 0:
		return err
	case result == nil:
		return errors.Join(append(dead, err)...)
	}
	f := failedError(result)
	f.Err = errors.Join(append(dead, err)...)
	return f
}

// endings returns an error for each service that has ended.
func endings(services []runtime.Service) (errs []error) {
	for _, svc := range services {
		select {
		case <-svc.Ended():
			errs = append(errs, svc.Explain(fmt.Errorf("%s: %w under load", svc.Address(), ErrServiceEnded)))
		default:
		}
	}
	return errs
}

// A FailedError says how many requests failed.
type FailedError struct {
	Requests int64 // in all
	Failed   int64
	Failures []load.Failure
	Err      error // about the services that have ended; nil where all live
}

func (e *FailedError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d of %d requests failed", e.Failed, e.Requests)
	for i, f := range e.Failures {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprintf(&s, "%s%d times %s", separator, f.Count, f.Text)
	}
	if e.Err != nil {
		fmt.Fprintf(&s, "; %v", e.Err)
	}
	return s.String()
}

func failedError(r *load.Result) *FailedError {
	return &FailedError{Requests: r.Requests + r.Failed, Failed: r.Failed, Failures: r.Failures}
}

// Unwrap returns what is known of the services that have ended.
func (e *FailedError) Unwrap() error { return e.Err }
