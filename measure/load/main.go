package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Maker makes a scenario of its parameters.
type Maker = func(Parameters) (Scenario, error)

// Main is the main function of a program for Generator.Path, with scenarios by
// their names. It does what it reads from its standard input, writes what came of
// it to its standard output and ends, also when its standard input does.
func Main(scenarios map[string]Maker) {
	in := json.NewDecoder(os.Stdin)
	var t task
	if err := in.Decode(&t); err != nil {
		fmt.Fprintln(os.Stderr, "load generator: started by package load, which tells it what to do:", err)
		os.Exit(2)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel(errors.New("nobody waits for the result any more"))
	}()
	out := json.NewEncoder(os.Stdout)
	result, err := t.do(ctx, scenarios, out)
	m := message{Result: result}
	if err != nil {
		m = message{Error: err.Error()}
	}
	if err := out.Encode(m); err != nil {
		fmt.Fprintln(os.Stderr, "load generator: telling the result:", err)
		os.Exit(1)
	}
}

// do runs a task in a process that does nothing else.
func (t *task) do(ctx context.Context, scenarios map[string]Maker, out *json.Encoder) (*Result, error) {
	make, ok := scenarios[t.Scenario]
	if !ok {
		return nil, fmt.Errorf("there is no scenario %q; there are: %s", t.Scenario, strings.Join(slices.Sorted(maps.Keys(scenarios)), ", "))
	}
	s, err := make(t.Parameters)
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %w", t.Scenario, err)
	}
	plan, err := t.Plan.settle(ctx)
	if err != nil {
		return nil, err
	}
	// What the scenario allocates is collected seldom, and the threads that make
	// load never wait for one that tells of events.
	debug.SetGCPercent(400)
	goruntime.GOMAXPROCS(plan.Threads + 1)
	plan.Plan.CPUs = nil // all of this process is there already
	var begin, end time.Duration
	tell := func(event string, at time.Time) {
		if err := out.Encode(message{Event: event, At: toClock(at)}); err != nil {
			fmt.Fprintln(os.Stderr, "load generator: telling an event:", err)
		}
	}
	result, err := Run(ctx, plan.Plan, s, Events{
		Begin: func(at time.Time) { begin = processTime(); tell(eventBegin, at) },
		End:   func(at time.Time) { end = processTime(); tell(eventEnd, at) },
	})
	if err != nil {
		return nil, err
	}
	result.CPU = end - begin // with what the Go runtime did meanwhile
	return result, nil
}

// processTime is the processor time that this process has used.
func processTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
