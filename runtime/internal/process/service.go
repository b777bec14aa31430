package process

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Service is a child that listens on an address: a runtime.Service that is a
// process. It has no standard input; what it writes to its standard output and
// error is its log.
type Service struct {
	*child
	address string
}

// Serve starts a program that is told by its arguments to listen on address. It
// returns when the program has been executed, which was at the time created.
func Serve(ctx context.Context, program Program, address string) (s *Service, created time.Time, err error) {
	if ctx.Err() != nil {
		return nil, created, context.Cause(ctx)
	}
	s = &Service{child: program.child(), address: address}
	s.cmd.Stdout = &s.log
	if err := s.launch(); err != nil {
		return nil, created, err
	}
	return s, time.Now(), nil
}

// Address is where it was told to listen.
func (s *Service) Address() string { return s.address }

// Explain adds to an error how the service ended, if it has, and an excerpt of
// its log.
func (s *Service) Explain(err error) error { return s.Report(err) }

// Scope names the process.
func (s *Service) Scope() runtime.Scope { return runtime.Scope{Own: []int{s.Pid}} }

// Close kills the service and waits until it has ended. It is not asked to end:
// it has nothing to save, and how long a server takes to see its connections
// off, which differs from one language's to another's, would be charged to the
// runtime.
func (s *Service) Close() error {
	s.Kill()
	<-s.done
	return nil
}
