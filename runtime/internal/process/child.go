package process

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
)

// Grace is how long a child may take to end by itself once it has been told to.
const Grace = 2 * time.Second

// A child is a process that was started here. It leads a process group of its
// own, which ends with it, and dies with the harness.
type child struct {
	Pid int

	cmd  *exec.Cmd
	log  excerpt.Writer
	done chan struct{} // closed when it has been waited for

	mu   sync.Mutex
	over bool // it has ended: its number may become another's
}

// launch forks the child and returns when its program has been executed. What
// it writes to its standard error goes to its log.
func (c *child) launch() error {
	if err := hostdir.Check(c.cmd.Dir); err != nil {
		return err // the fork's own error would name the program
	}
	c.done = make(chan struct{})
	c.cmd.Stderr = &c.log
	c.cmd.Env = environment()
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.cmd.WaitDelay = Grace
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", c.cmd.Path, err)
	}
	c.Pid = c.cmd.Process.Pid
	pidfd.OnEnd(c.cmd.Process, c.wait)
	return nil
}

// Environment says what a child has in its environment.
const Environment = "PATH, TMPDIR, LD_LIBRARY_PATH, WASMBENCH_* and PYTHONNOUSERSITE"

// environment is what a child gets of the harness's: where programs and
// directories are, but nothing that makes an interpreter or an engine do more
// than it does in a container, whose environment is as small. Python would look
// for packages in the user's home, of which it knows without HOME too.
func environment() []string {
	kept := []string{"PATH", "TMPDIR", "LD_LIBRARY_PATH"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains(kept, name) && !strings.HasPrefix(name, "WASMBENCH_")
	})
	return append(env, "PYTHONNOUSERSITE=1")
}

// wait ends the group of a leader that has ended, and only then reaps the
// leader: until that nobody else can have its number.
func (c *child) wait() {
	c.mu.Lock()
	syscall.Kill(-c.Pid, syscall.SIGKILL)
	c.over = true
	c.mu.Unlock()
	c.cmd.Wait()
	close(c.done)
}

// Kill ends the process group at once. It may be called at any time.
func (c *child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		syscall.Kill(-c.Pid, syscall.SIGKILL)
	}
}

// Ended is closed when the child has ended and has been waited for.
func (c *child) Ended() <-chan struct{} { return c.done }

// endsWithin waits until the child has ended, for as long as limit, and reports
// whether it has.
func (c *child) endsWithin(limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c.done:
		return true
	case <-t.C:
		return false
	}
}

// Report adds to err how the child ended, if it has, and an excerpt of its log.
// It waits for a moment: whoever talks to a dying child learns of its end before
// the kernel tells its parent. A child that lives is left alone. It returns nil
// for nil.
func (c *child) Report(err error) error {
	if err == nil {
		return nil
	}
	return c.report(err, c.endsWithin(Grace/10))
}

func (c *child) report(err error, ended bool) error {
	e := &ExitError{Path: c.cmd.Path, Log: c.log.String(), Err: err}
	if ended {
		e.State = c.cmd.ProcessState
	}
	return e
}

// An ExitError is a failed exchange with a process and what became of it.
type ExitError struct {
	Path  string
	State *os.ProcessState // how it ended by itself; nil where it did not
	Log   string           // an excerpt of its standard error, and of a service's standard output
	Err   error            // what failed
}

func (e *ExitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Path, e.Err)
	if e.State != nil {
		fmt.Fprintf(&b, "; it ended with %s", e.State)
	}
	if e.Log != "" {
		fmt.Fprintf(&b, "; its log: %s", e.Log)
	}
	return b.String()
}

// Unwrap returns what failed.
func (e *ExitError) Unwrap() error { return e.Err }
