package spin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// PrepareServer is as Prepare. It returns an *Unavailable for a pool, as WAGI
// knows none, and for a bridge.
func (s *spin) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (runtime.ServerImage, error) {
	if o.Bridge {
		return nil, runtime.NoBridge("spin")
	}
	if o.Pool != 0 {
		return nil, &workload.Unavailable{
			What: fmt.Sprintf("spin with a pool of %d instances", o.Pool),
			Why:  "its WAGI executor takes a new instance for each request",
			Fix:  "serve without a pool",
		}
	}
	a, err := s.prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	return &serverImage{a}, nil
}

// A serverImage is an app whose instances others talk to.
type serverImage struct{ *app }

// Serve marks Create when spin has been executed. Only where spin chooses the
// port, which it tells when it listens, it waits for that and marks Start.
func (i *serverImage) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	if address == "" {
		address = anyPort
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("spin: serving at %s: %w", address, err)
	}
	p, err := i.up(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("spin: %w", err)
	}
	mark(runtime.Create, p.created)
	if port != "0" {
		return &service{p, address}, nil
	}
	said, err := p.serving(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spin: %w", err), p.Close())
	}
	mark(runtime.Start, said.at)
	return &service{p, said.address}, nil
}

// A service is spin with its address.
type service struct {
	*process
	address string
}

// Address is where spin listens.
func (s *service) Address() string { return s.address }
