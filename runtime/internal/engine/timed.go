package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// batch is how many starts or calls are asked for at once: enough that the
// exchange with the host is nothing beside them, few enough that a context is
// heeded between two.
const batch = 256

// repeat asks q for n operations, most of them at a time, has every distinct
// answer checked and hands each reply to take.
func (i *heldImage) repeat(ctx context.Context, q enginehost.Query, n, most int, check func([]byte) error, take func(*enginehost.Reply) int) error {
	for done := 0; done < n; {
		q.N = min(most, n-done)
		r, err := i.ask(ctx, &q)
		if err != nil {
			return err
		}
		for _, a := range r.Answers {
			if err := check(a); err != nil {
				return err
			}
		}
		if took := take(r); took != q.N || len(r.Answers) == 0 {
			return &HostError{Runtime: i.label, Verb: q.Op.String(), Text: fmt.Sprintf("it reported %d of %d and %d answers", took, q.N, len(r.Answers))}
		}
		done += q.N
	}
	return nil
}

// TimeStarts times starts inside the host.
func (i *heldImage) TimeStarts(ctx context.Context, n int, first bool, request []byte, check func([]byte) error) ([]runtime.Timeline, error) {
	var all []runtime.Timeline
	err := i.repeat(ctx, enginehost.Query{Op: enginehost.OpStarts, First: first, Body: request}, n, batch, check, func(r *enginehost.Reply) int {
		all = append(all, r.Timelines...)
		return len(r.Timelines)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// TimeCalls times calls inside the host.
func (i *heldInstance) TimeCalls(ctx context.Context, n int, request []byte, check func([]byte) error) ([]time.Duration, error) {
	return i.time(ctx, enginehost.Query{Op: enginehost.OpCalls, Body: request}, n, batch, check)
}

// TimeBatches times batches inside the host, which makes several at a time where
// they are small: the context is heeded between those. A size below 1 is an
// error.
func (i *heldInstance) TimeBatches(ctx context.Context, n, size int, request []byte, check func([]byte) error) ([]time.Duration, error) {
	if size < 1 {
		return nil, fmt.Errorf("runtime %s: a batch of %d calls: it has at least 1", i.image.label, size)
	}
	return i.time(ctx, enginehost.Query{Op: enginehost.OpBatches, Size: size, Body: request}, n, max(1, batch/size), check)
}

// time has q repeated with the instance and returns the times.
func (i *heldInstance) time(ctx context.Context, q enginehost.Query, n, most int, check func([]byte) error) ([]time.Duration, error) {
	q.ID = i.id
	var all []time.Duration
	err := i.image.repeat(ctx, q, n, most, check, func(r *enginehost.Reply) int {
		all = append(all, r.Times...)
		return len(r.Times)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
