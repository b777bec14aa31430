package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// CallTogether has the host call the instances. What is no instance of the same
// image, or one twice, is an error before anything is called.
func (i *heldInstance) CallTogether(ctx context.Context, others []runtime.Instance, requests [][]byte) (answers [][]byte, took time.Duration, err error) {
	if len(requests) != 1+len(others) {
		return nil, 0, fmt.Errorf("runtime %s: %d requests to %d instances called together", i.image.label, len(requests), 1+len(others))
	}
	ids := []int{i.id}
	for n, other := range others {
		held, ok := other.(*heldInstance)
		if !ok || held.image != i.image {
			return nil, 0, fmt.Errorf("runtime %s: instance %d of %d called together is not one of the first's image", i.image.label, n+2, len(requests))
		}
		ids = append(ids, held.id)
	}
	r, err := i.image.ask(ctx, &enginehost.Query{Op: enginehost.OpTogether, IDs: ids, Bodies: requests})
	if err != nil {
		return nil, 0, err
	}
	if len(r.Answers) != len(ids) || len(r.Times) != 1 {
		return nil, 0, &HostError{Runtime: i.image.label, Verb: enginehost.OpTogether.String(), Text: fmt.Sprintf("it reported %d answers of %d", len(r.Answers), len(ids))}
	}
	return r.Answers, r.Times[0], nil
}
