package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Part is an instance and what it is asked. Of parts that work together each
// has an instance of its own.
type Part struct {
	Instance runtime.Instance
	Workload workload.Workload
}

// Together calls the instances of all parts at the same time, once, and returns how
// long that took: from before the first call until the last answer has been
// checked. Whoever makes the calls waits before the clock begins.
//
// Where all instances are runtime.Companions in one process, or one that is alone,
// the time is taken there, until the last has answered; the answers are checked
// after it.
//
// Of the options only Limit is heeded, for all calls together. The error names the
// parts that failed; the others are waited for.
func Together(ctx context.Context, parts []Part, opts CallOptions) (took time.Duration, err error) {
	err = sample(ctx, 1, 0, opts.Limit, func(ctx context.Context, reset func(int)) (err error) {
		took, err = together(ctx, parts, reset)
		return err
	})
	return took, err
}

// together is Together within a sample.
func together(ctx context.Context, parts []Part, reset func(int)) (time.Duration, error) {
	if len(parts) == 0 {
		return 0, errors.New("calling instances together: there are none")
	}
	if c := companion(parts); c != nil {
		return callCompanions(ctx, c, parts, reset)
	}
	return callAtOnce(ctx, parts, reset)
}

// callAtOnce has a goroutine call each instance. The first is called by the one
// that releases the others, so that one alone waits for nobody.
func callAtOnce(ctx context.Context, parts []Part, reset func(int)) (time.Duration, error) {
	var waiting, working sync.WaitGroup
	release := make(chan struct{})
	ends, errs := make([]time.Time, len(parts)), make([]error, len(parts))
	ask := make([]func(), len(parts))
	for i, p := range parts {
		request := p.Workload.Request()
		ask[i] = func() {
			answer, err := p.Instance.Call(ctx, request)
			if err == nil {
				err = p.Workload.Check(answer)
			}
			ends[i], errs[i] = time.Now(), err
		}
	}
	for _, ask := range ask[1:] {
		waiting.Add(1)
		working.Go(func() {
			waiting.Done()
			<-release
			ask()
		})
	}
	waiting.Wait()
	reset(1)
	begin := time.Now()
	close(release)
	ask[0]()
	working.Wait()
	reset(0)
	for i, err := range errs {
		errs[i] = ofPart(ctx, parts, i, err)
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return slices.MaxFunc(ends, time.Time.Compare).Sub(begin), nil
}

// ofPart adds to an error of which part it is.
func ofPart(ctx context.Context, parts []Part, i int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("part %d of %d, %s: %w", i+1, len(parts), parts[i].Workload.Name(), because(ctx, err))
}

// companion returns the first instance where all are companions of each other: they
// can be called together and have the same processes.
func companion(parts []Part) runtime.Companion {
	for _, p := range parts {
		if _, ok := p.Instance.(runtime.Companion); !ok {
			return nil
		}
	}
	own := parts[0].Instance.Scope().Own
	for _, p := range parts[1:] {
		if !slices.Equal(p.Instance.Scope().Own, own) {
			return nil
		}
	}
	return parts[0].Instance.(runtime.Companion)
}

func callCompanions(ctx context.Context, first runtime.Companion, parts []Part, reset func(int)) (time.Duration, error) {
	var others []runtime.Instance
	requests := make([][]byte, len(parts))
	for i, p := range parts {
		if i > 0 {
			others = append(others, p.Instance)
		}
		requests[i] = p.Workload.Request()
	}
	reset(1)
	answers, took, err := first.CallTogether(ctx, others, requests)
	reset(0)
	if err != nil {
		return 0, fmt.Errorf("calling %d instances of one process together: %w", len(parts), because(ctx, err))
	}
	if len(answers) != len(parts) || took <= 0 {
		return 0, fmt.Errorf("%d instances that were called together gave %d answers in %v", len(parts), len(answers), took)
	}
	errs := make([]error, len(parts))
	for i, p := range parts {
		errs[i] = ofPart(ctx, parts, i, p.Workload.Check(answers[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return took, nil
}
