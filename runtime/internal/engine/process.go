package engine

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
)

// processImage starts one host process for each instance, which runs the
// command as the engine's own command line does.
type processImage struct {
	shipped
	program process.Program // the host
	dir     string          // that the guest has of the host's, "" for none
	size    int64
}

func (i *processImage) Bytes() int64 { return i.size }
func (i *processImage) Close() error { return nil }

// Start marks Create when the host has been executed, Start when its main was
// reached, Load when it had the module and Ready when the guest said so.
func (i *processImage) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if err := hostdir.Check(i.dir); err != nil {
		return nil, fmt.Errorf("runtime %s: %w", i.label, err)
	}
	reports, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reports.Close()
	program := i.program
	program.Files = []*os.File{w}
	inst, created, ready, err := process.StartWorker(ctx, program)
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("runtime %s: %w", i.label, err)
	}
	// The host reported before it ran the guest. But a guest that says that it
	// is ready while it is instantiated may keep its host from it.
	report, err := await(ctx, reports, inst.Kill)
	if err != nil {
		err = inst.Explain(fmt.Errorf("waiting for the engine host's report: %w", err))
		inst.Close()
		return nil, fmt.Errorf("runtime %s: %w", i.label, err)
	}
	replayReport(report, created, mark)
	mark(runtime.Ready, ready)
	return &processInstance{Worker: inst, regions: report.Regions}, nil
}

// A processInstance is a guest that has a host process to itself.
type processInstance struct {
	*process.Worker
	regions []runtime.Region
}

// Regions tells where the host instantiated the guest.
func (i *processInstance) Regions(context.Context) ([]runtime.Region, error) { return i.regions, nil }

// await reads a host's report. If ctx ends first it kills the host, which must
// not live on then.
func await(ctx context.Context, reports *os.File, kill func()) (enginehost.Report, error) {
	stop := context.AfterFunc(ctx, kill)
	report, err := enginehost.ReadReport(reports)
	if !stop() { // killed, or about to be
		err = context.Cause(ctx)
	}
	return report, err
}

// replayReport marks the phases of which a host reports.
func replayReport(r enginehost.Report, created time.Time, mark func(runtime.Phase, time.Time)) {
	begun := clockTime(r.Begun)
	if begun.Before(created) { // the harness was told late that the host had been executed
		created = begun
	}
	mark(runtime.Create, created)
	mark(runtime.Start, begun)
	mark(runtime.Load, clockTime(r.Loaded))
}

// clockTime turns a time of CLOCK_MONOTONIC, in nanoseconds, into one of this
// process.
func clockTime(at int64) time.Time {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Now().Add(-time.Duration(now.Nano() - at))
}
