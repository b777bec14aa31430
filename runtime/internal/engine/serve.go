package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// processServer starts one host process for each service.
type processServer struct {
	shipped
	program process.Program // the host, with the arguments before the address
	src     []string        // and those after it
	dir     string          // that the guest has of the host's, "" for none
	size    int64
}

func (s *processServer) Bytes() int64 { return s.size }
func (s *processServer) Close() error { return nil }

// Serve marks Create when the host has been executed, Start when its main was
// reached and Load when it had the module. It returns when the host is about to
// listen: nobody could have been answered before.
func (s *processServer) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	if err := hostdir.Check(s.dir); err != nil {
		return nil, fmt.Errorf("runtime %s: %w", s.label, err)
	}
	if address == "" {
		var err error
		if address, err = runtime.FreeAddress(); err != nil {
			return nil, err
		}
	}
	reports, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reports.Close()
	program := s.program
	program.Args, program.Files = slices.Concat(program.Args, []string{address}, s.src), []*os.File{w}
	svc, created, err := process.Serve(ctx, program, address)
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", s.label, err)
	}
	report, err := await(ctx, reports, svc.Kill)
	if err != nil {
		err = svc.Explain(fmt.Errorf("waiting for the module to be loaded: %w", err))
		svc.Close()
		return nil, fmt.Errorf("runtime %s: serve: %w", s.label, err)
	}
	replayReport(report, created, mark)
	return svc, nil
}

// heldServer starts services that share one host process.
type heldServer struct {
	shipped
	image *heldImage
	pool  int
	web   bool // see servesWeb
}

func (s *heldServer) Bytes() int64                     { return s.image.Bytes() }
func (s *heldServer) Unload(ctx context.Context) error { return s.image.Unload(ctx) }
func (s *heldServer) Close() error                     { return s.image.Close() }

// Serve marks Load and Create as the host measured them; what the exchange with
// it takes, and its own start with the first service, counts to Create. It
// returns when the host listens.
func (s *heldServer) Serve(ctx context.Context, address string, mark func(runtime.Phase, time.Time)) (runtime.Service, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	r, err := s.image.ask(ctx, &enginehost.Query{Op: enginehost.OpServe, Address: address, N: s.pool, Web: s.web})
	if err != nil {
		return nil, err
	}
	replay(r, mark, runtime.Load, runtime.Create)
	return &heldService{image: s.image, host: s.image.proc.Load(), id: r.ID, address: r.Address}, nil
}

// A heldService is a listener in a host that lives on when it is closed.
type heldService struct {
	image   *heldImage
	host    *process.Process
	id      int
	address string

	once sync.Once
	err  error // of Close
}

func (s *heldService) Address() string         { return s.address }
func (s *heldService) Ended() <-chan struct{}  { return s.host.Ended() }
func (s *heldService) Explain(err error) error { return s.host.Report(err) }
func (s *heldService) Scope() runtime.Scope    { return runtime.Scope{Own: []int{s.host.Pid}} }

// Close ends the listener and its instances. A guest that does not return from
// a request cannot be stopped: the host is then killed, after process.Grace,
// and the image can only be closed.
func (s *heldService) Close() error {
	s.once.Do(func() { s.err = s.image.end(&enginehost.Query{Op: enginehost.OpStopServe, ID: s.id}) })
	return s.err
}
