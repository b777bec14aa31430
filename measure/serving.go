package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0132abb7/wasmbench/measure/load"
	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Loader runs scenarios that it knows by their names, as load.Generator does in a
// process of its own. A histogram that a result lacks is empty.
type Loader interface {
	Run(ctx context.Context, plan load.Plan, scenario string, p load.Parameters, events load.Events) (*load.Result, error)
}

// A Script is a scenario of a Loader and what that is made of.
type Script struct {
	Scenario   string
	Parameters load.Parameters
}

// ServingOptions say how services are measured under load. The zero value is as the
// comments say.
type ServingOptions struct {
	// Loader makes the load. nil is the module's own generator process.
	Loader Loader
	// Division is of the processors, between the generator and the services' own
	// processes. nil is what Divide returns.
	Division *Division
	// Memory reads what the services have in memory when what counts has ended and
	// before they rest.
	Memory bool
}

// A Serving is how services did under load.
//
// The readings of processor time are a moment late: see Skewed. What was spent before
// the first is taken for as much as after it, by the time under load. What was spent
// before the last is given as it is, for nobody asks any more once what counts has
// ended; only what is answered late is in it too. Where even the first was after that,
// nothing is known and all is 0.
type Serving struct {
	Result    *load.Result
	Services  int
	Wall      time.Duration // between the readings of processor time, about Result.Elapsed
	BeginLate time.Duration // by which the first of them was later than the begin of what counts
	EndLate   time.Duration // by which the last of them was later than its end
	CPU       time.Duration // that the services' own processes spent within Result.Elapsed
	ShimCPU   time.Duration // of their shims; in CPU or SharedCPU too
	SharedCPU time.Duration // of the shared processes, such as a daemon
	Memory    Usage         // at the end, where it was asked for
	Division  Division      // of the processors

	skewed bool // of several windows as one: one of them was
}

// ErrNoneAnswered is wrapped by the error of Serve where no request was answered within
// the window.
var ErrNoneAnswered = errors.New("no request was answered")

// Serve puts load on services of one image, over which the plan's connections are
// spread in turn, and measures what they spend on it. Each service has one connection
// at least, and the same load as the others where the number of connections is a
// multiple of theirs. The plan's Addresses, Network and CPUs are set here.
//
// Requests that fail are counted and are no error as long as the services live and one
// request is answered: see Serving.Err. Where a service has ended, or ends under the
// load, the error is a *FailedError with the count; the load is made to its end all the
// same.
//
// What processes the services consist of is asked when what counts begins and again
// when it has ended: own processes that were started meanwhile count. One that has
// ended though its service lives is an error that names it, and so is a shared one
// that was not there before, for nobody knows what they have spent on the load. A
// process that came and went between is in nothing.
func Serve(ctx context.Context, services []runtime.Service, plan load.Plan, script Script, opts ServingOptions) (*Serving, error) {
	s, err := putLoad(ctx, services, plan, script, opts)
	if err == nil {
		err = s.unanswered()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// putLoad is Serve where a window without an answer is none of the errors.
func putLoad(ctx context.Context, services []runtime.Service, plan load.Plan, script Script, opts ServingOptions) (*Serving, error) {
	defer quiet()()
	switch n := max(plan.Connections, 1); {
	case len(services) == 0:
		return nil, errors.New("putting load on services: there are none")
	case n < len(services):
		return nil, fmt.Errorf("putting load on services: %d connections leave some of %d services without: make at least as many", n, len(services))
	}
	if opts.Loader == nil {
		opts.Loader = load.Generator{}
	}
	s := &Serving{Services: len(services)}
	if opts.Division != nil {
		s.Division = *opts.Division
	} else {
		var err error
		if s.Division, err = Divide(); err != nil {
			return nil, err
		}
	}
	plan.Addresses, plan.Network, plan.CPUs = nil, network(services[0]), s.Division.Client
	for _, svc := range services {
		if n := network(svc); n != plan.Network {
			return nil, fmt.Errorf("putting load on services: one is reached from the network %q, another from %q", plan.Network, n)
		}
		plan.Addresses = append(plan.Addresses, svc.Address())
	}
	restore, err := pin(watch(services).scope.Own, s.Division.Server)
	if err != nil {
		return nil, ended(ctx, services, nil, err)
	}
	err = errors.Join(s.run(ctx, services, plan, script, opts), restore())
	if err = ended(ctx, services, s.Result, err); err != nil {
		return nil, err
	}
	return s, nil
}

// run makes the load and takes the readings.
func (s *Serving) run(ctx context.Context, services []runtime.Service, plan load.Plan, script Script, opts ServingOptions) error {
	var before, after reading
	var begin, end time.Time
	var unread error
	events := load.Events{
		Begin: func(at time.Time) {
			begin = at
			before, unread = watch(services).read(ctx)
		},
		End: func(at time.Time) {
			end = at
			if unread != nil {
				return
			}
			if after, unread = before.again(ctx, services); unread == nil && opts.Memory {
				s.Memory, unread = Memory.Read(ctx, after.of.scope)
			}
		},
	}
	var err error
	s.Result, err = opts.Loader.Run(ctx, plan, script.Scenario, script.Parameters, events)
	switch {
	case err != nil:
		return because(ctx, fmt.Errorf("load on %d services: %w", s.Services, err))
	case s.Result == nil:
		return fmt.Errorf("load on %d services: the %T told nobody what came of it", s.Services, opts.Loader)
	case unread != nil:
		return fmt.Errorf("load on %d services: %w", s.Services, unread)
	case before.at.IsZero() || after.at.IsZero():
		return fmt.Errorf("load on %d services: the %T told nobody when what counts began or ended", s.Services, opts.Loader)
	}
	s.Wall, s.BeginLate, s.EndLate = after.at.Sub(before.at), before.at.Sub(begin), after.at.Sub(end)
	under := s.Result.Elapsed - s.BeginLate
	within := func(spent time.Duration) time.Duration {
		if under <= 0 {
			return 0
		}
		return time.Duration(float64(spent) * s.Result.Elapsed.Seconds() / under.Seconds())
	}
	s.CPU = within(after.CPU - before.CPU)
	s.SharedCPU = within(after.SharedCPU - before.SharedCPU)
	s.ShimCPU = within(after.shims - before.shims)
	return nil
}

// unanswered returns an error where no request was answered within the window.
func (s *Serving) unanswered() error {
	r := s.Result
	if r.Completed > 0 {
		return nil
	}
	err := fmt.Errorf("load on %d services: %w within the window of %v; %d after it: make it longer", s.Services, ErrNoneAnswered, r.Elapsed, r.Late)
	if failed := s.Err(); failed != nil {
		err = fmt.Errorf("%w; %w", err, failed)
	}
	return err
}

// Err returns a *FailedError where requests failed, else nil.
func (s *Serving) Err() error {
	if s.Result.Failed == 0 {
		return nil
	}
	return failedError(s.Result)
}
