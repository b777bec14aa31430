package measure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// watched is the processes of services.
type watched struct{ scope, shims runtime.Scope }

func watch(services []runtime.Service) (w watched) {
	all := newUnion()
	for _, svc := range services {
		scope := svc.Scope()
		all.add(scope)
		if scope.Shim != 0 {
			w.shims.Own = append(w.shims.Own, scope.Shim)
		}
	}
	w.scope = all.scope()
	w.scope.Shim = 0 // is among the shims
	return w
}

// A reading is the processor time that was spent until some time.
type reading struct {
	Usage
	shims time.Duration
	at    time.Time
	of    watched
}

func (w watched) read(ctx context.Context) (r reading, err error) {
	if r.Usage, err = CPU.Read(ctx, w.scope); err != nil {
		return reading{}, err
	}
	shims, err := CPU.Read(ctx, w.shims)
	if err != nil {
		return reading{}, err
	}
	r.shims, r.at, r.of = shims.CPU, time.Now(), w
	return r, nil
}

// again reads the same processes and the own ones that the services have by now. A
// shared one that they have only now is an error: it may be as old as the host.
func (r reading) again(ctx context.Context, services []runtime.Service) (reading, error) {
	later, err := r.of.read(ctx) // first: what counts has ended
	if err != nil {
		return reading{}, err
	}
	now := watch(services)
	known := slices.Concat(r.of.scope.Own, r.of.scope.Shared)
	if late := without(now.scope.Shared, known); len(late) > 0 {
		return reading{}, fmt.Errorf("the processes %v serve the services since they are under load: what they had spent before is not known", late)
	}
	grown, err := watched{
		scope: runtime.Scope{Own: without(now.scope.Own, known)},
		shims: runtime.Scope{Own: without(now.shims.Own, known)},
	}.read(ctx)
	if err != nil {
		return reading{}, err
	}
	later.CPU += grown.CPU
	later.shims += grown.shims
	later.of.scope.Own = slices.Concat(r.of.scope.Own, grown.of.scope.Own)
	return later, nil
}

// without returns those of pids that are not among some others.
func without(pids, others []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool { return slices.Contains(others, pid) })
}
