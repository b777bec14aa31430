package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
)

// A Generator is a process that makes load.
type Generator struct {
	// Path is that of a program whose main function calls Main. "" is this
	// module's own, with the scenarios "exchanges", whose parameters are Exchanges
	// as JSON, and "shop"; the Go toolchain builds it at its first use.
	Path string
}

// A task is what a generator process reads from its standard input.
type task struct {
	Plan       Plan       `json:"plan"`
	Scenario   string     `json:"scenario"`
	Parameters Parameters `json:"parameters,omitempty"`
}

// A message is what it writes to its standard output, one at each event and then
// the result or why there is none.
type message struct {
	Event  string  `json:"event,omitempty"`
	At     int64   `json:"at,omitempty"` // of an event, as toClock has it
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

const (
	eventBegin = "begin"
	eventEnd   = "end"
)

// An ExitError is about a generator process that ended without a result.
type ExitError struct {
	Path  string
	State string // how it ended
	Log   string // the end of its standard error
	Err   error  // what failed
}

func (e *ExitError) Error() string {
	s := fmt.Sprintf("load generator %s: %v; it ended with %s", e.Path, e.Err, e.State)
	if e.Log != "" {
		s += "; its log: " + e.Log
	}
	return s
}

// Unwrap returns what failed.
func (e *ExitError) Unwrap() error { return e.Err }

// ErrHung is that a generator had no result long after its plan was over.
var ErrHung = errors.New("it hung")

// Run is as the function Run, in a process that lives no longer than the call and
// runs on the processors of the plan from its beginning on. The scenario is one of
// the program's, made there of the parameters.
//
// The process is killed when ctx ends, and ends by itself when this one is gone.
// Where the program cannot be built here the error is an *workload.Unavailable,
// where it died an *ExitError; also where it took longer than the plan can, and was
// made to end: that wraps ErrHung, and the log is of where its goroutines were.
func (g Generator) Run(ctx context.Context, plan Plan, scenario string, p Parameters, events Events) (result *Result, err error) {
	settled, err := plan.settle(ctx)
	if err != nil {
		return nil, err
	}
	path := g.Path
	if path == "" {
		if path, err = own.Path(ctx); err != nil {
			return nil, err
		}
	}
	what, err := json.Marshal(task{plan, scenario, p})
	if err != nil {
		return nil, fmt.Errorf("load: the parameters of scenario %s: %w", scenario, err)
	}
	// The process dies with the thread that has made it, which must not end
	// before, and inherits its processors. On these nothing else is done meanwhile.
	err = osthread.Do(func() (err error) {
		result, err = generate(ctx, path, settled.most(), what, events)
		return err
	}, processors(plan.CPUs))
	if err != nil {
		return nil, err
	}
	return result, nil
}

// most is how long a run of the plan takes at most, with what a process needs to
// begin and to end.
func (s *settled) most() time.Duration {
	const process = 10 * time.Second
	// It connects until a Timeout is over, and waits for answers until another is.
	sum := 2*float64(s.Timeout) + float64(s.Warmup) + float64(s.Duration) + float64(process)
	return time.Duration(min(sum, float64(math.MaxInt64/2)))
}

// generate runs a generator process.
func generate(ctx context.Context, path string, most time.Duration, what []byte, events Events) (*Result, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	cmd := exec.CommandContext(bounded, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error {
		if ctx.Err() == nil && bounded.Err() != nil {
			return cmd.Process.Signal(unix.SIGQUIT) // for Go programs to say where they are
		}
		return kill(cmd)
	}
	cmd.WaitDelay = time.Second // after which it is killed in any case
	var log tail
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("load: starting generator %s: %w", path, err)
	}
	result, err := elsewhere(func() (*Result, error) { return converse(in, out, what, events) })
	if err != nil && bounded.Err() == nil {
		kill(cmd) // it may be one that never ends
	}
	in.Close()
	werr := cmd.Wait()
	var failed *failedRun
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bounded.Err() != nil && (err != nil || werr != nil):
		err = fmt.Errorf("%w: it had no result %v after its start", ErrHung, most)
	case errors.As(err, &failed):
		return nil, fmt.Errorf("load generator %s: %w", path, failed)
	case err == nil:
		err = werr
	}
	if err != nil {
		return nil, &ExitError{Path: path, State: cmd.ProcessState.String(), Log: log.String(), Err: err}
	}
	return result, nil
}

// elsewhere calls a function on a thread that is not the caller's, which waits.
func elsewhere(f func() (*Result, error)) (result *Result, err error) {
	err = errExited
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = f()
	}()
	<-done
	return result, err
}

var errExited = errors.New("an event ended its goroutine rather than return")

// kill ends a process and those that it has started.
func kill(cmd *exec.Cmd) error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }

// A failedRun is why a process that did as it should has no result.
type failedRun struct{ text string }

func (f *failedRun) Error() string { return f.text }

// converse tells a process what to do and reads what it says.
func converse(in io.Writer, out io.Reader, what []byte, events Events) (*Result, error) {
	if _, err := in.Write(append(what, '\n')); err != nil {
		return nil, fmt.Errorf("telling it what to do: %w", err)
	}
	told := json.NewDecoder(out)
	for {
		var m message
		if err := told.Decode(&m); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("reading its result: %w", err)
		}
		switch {
		case m.Error != "":
			return nil, &failedRun{m.Error}
		case m.Result != nil:
			return m.Result, nil
		case m.Event == eventBegin && events.Begin != nil:
			events.Begin(fromClock(m.At))
		case m.Event == eventEnd && events.End != nil:
			events.End(fromClock(m.At))
		}
	}
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 64 << 10 // bytes, for the stacks of one that hung

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if extra := len(t.b) - tailSize; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
