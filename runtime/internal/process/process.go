// Package process runs a child whose standard input and output are pipes to
// the harness, and makes sure that it ends.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
)

// Grace is how long a child may take to end by itself once its input is closed.
const Grace = 2 * time.Second

// A Process is a running child. It leads a process group of its own and dies
// with the harness.
type Process struct {
	In  *os.File // write end of its standard input
	Out *os.File // read end of its standard output
	Pid int

	cmd    *exec.Cmd
	stderr excerpt.Writer
	done   chan struct{} // closed when it has been waited for
}

// Start forks the child and returns when its program has been executed. Files
// in extra become its descriptors 3 and up.
func Start(path string, args []string, extra ...*os.File) (*Process, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, childIn.Close(), in.Close())
	}
	p := &Process{In: in, Out: out, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = childIn, childOut, &p.stderr
	p.cmd.ExtraFiles = extra
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = Grace
	err = p.cmd.Start()
	childIn.Close()
	childOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	p.Pid = p.cmd.Process.Pid
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Kill ends the process group at once. It may be called at any time.
func (p *Process) Kill() {
	select {
	case <-p.done:
	default:
		syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
}

// Close closes the child's input and output and waits until it has ended,
// killing it after Grace.
func (p *Process) Close() error {
	p.In.Close()
	p.Out.Close()
	t := time.NewTimer(Grace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.Kill()
		<-p.done
	}
	return nil
}

// Explain adds to err, which a broken exchange brought, how the child ended and
// an excerpt of what it wrote to its standard error. It kills a child that lives.
func (p *Process) Explain(err error) error {
	if err == nil {
		return nil
	}
	wait := Grace / 10
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		wait = Grace // its pipes are closed: it is ending
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	killed := false
	select {
	case <-p.done:
	case <-t.C:
		p.Kill()
		<-p.done
		killed = true
	}
	e := &ExitError{Path: p.cmd.Path, Stderr: p.stderr.String(), Err: err}
	if !killed {
		e.State = p.cmd.ProcessState
	}
	return e
}

// An ExitError is a failed exchange with a process and what became of it.
type ExitError struct {
	Path   string
	State  *os.ProcessState // how it ended by itself; nil where it had to be killed
	Stderr string           // an excerpt of its standard error
	Err    error            // what failed
}

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Path, e.Err)
	if e.State != nil {
		fmt.Fprintf(&b, "; it ended with %s", e.State)
	}
	if e.Stderr != "" {
		fmt.Fprintf(&b, "; its standard error: %s", e.Stderr)
	}
	return b.String()
}

// Unwrap returns what failed.
func (e *ExitError) Unwrap() error { return e.Err }
