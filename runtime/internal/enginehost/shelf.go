package enginehost

import (
	"context"
	"sync"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A shelf holds the instances of a pool that wait for a request, and nil in the
// place of one that failed. The one that was put there last is taken first: what
// it works on is in the processor's caches still.
type shelf struct {
	there chan struct{} // one for each

	mu        sync.Mutex
	instances []runtime.Instance
}

func newShelf(size int) *shelf {
	return &shelf{there: make(chan struct{}, size), instances: make([]runtime.Instance, 0, size)}
}

// take waits for an instance, no longer than ctx.
func (s *shelf) take(ctx context.Context) (runtime.Instance, error) {
	select {
	case <-s.there:
	default: // to ask ctx takes longer
		select {
		case <-s.there:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return s.pop(), nil
}

// tryTake returns false where there is none.
func (s *shelf) tryTake() (runtime.Instance, bool) {
	select {
	case <-s.there:
		return s.pop(), true
	default:
		return nil, false
	}
}

func (s *shelf) pop() runtime.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.instances) - 1
	inst := s.instances[last]
	s.instances = s.instances[:last]
	return inst
}

// put does not wait: there is room for all.
func (s *shelf) put(inst runtime.Instance) {
	s.mu.Lock()
	s.instances = append(s.instances, inst)
	s.mu.Unlock()
	s.there <- struct{}{}
}
