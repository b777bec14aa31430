package spin

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/pidfd"
)

const (
	// anyPort lets the kernel choose the port.
	anyPort = "127.0.0.1:0"
	// grace is how long spin may take to end once it is asked to, or once its
	// connections have broken.
	grace = 2 * time.Second
)

// A process is a running `spin up` with its trigger: a process group.
type process struct {
	pid     int // of spin up, and the number of the group
	created time.Time
	cmd     *exec.Cmd
	log     excerpt.Writer
	said    chan announcement
	remove  func() error

	mu     sync.Mutex
	reaped bool // the group's number may be another's

	ended    chan struct{} // closed when no process of the group is left
	endErr   error         // why the group could not be ended; valid after ended
	closing  sync.Once
	closeErr error
}

// start executes spin in dir. Its environment and arguments are all given;
// remove is called once, when the processes have ended and Close is called.
func start(path string, args, env []string, dir string, remove func() error) (*process, error) {
	p := &process{said: make(chan announcement, 1), ended: make(chan struct{}), remove: remove}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env, p.cmd.Dir = env, dir
	p.cmd.Stdout = &listener{log: &p.log, said: p.said}
	p.cmd.Stderr = &p.log
	// At SIGINT spin up ends its trigger, which SIGKILL would leave behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	p.cmd.WaitDelay = grace
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	p.created = time.Now()
	p.pid = p.cmd.Process.Pid
	pidfd.OnEnd(p.cmd.Process, p.wait)
	return p, nil
}

// wait ends the group once spin up has ended. Until then spin up is not
// reaped: a zombie keeps its number, and so the group's, from being given to
// others.
func (p *process) wait() {
	defer close(p.ended)
	p.endErr = endGroup(p.pid)
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	p.cmd.Wait()
}

func (p *process) signal(s unix.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		unix.Kill(-p.pid, s)
	}
}

// serving waits until spin says at which address it serves. On error the
// process is still to be closed.
func (p *process) serving(ctx context.Context) (announcement, error) {
	var a announcement
	select {
	case a = <-p.said:
	case <-p.ended:
		select {
		case a = <-p.said:
		default:
			a.err = errors.New("it ended before it said that it serves")
		}
	case <-ctx.Done():
		a.err = fmt.Errorf("it has not said that it serves: %w", context.Cause(ctx))
	}
	return a, p.Explain(a.err)
}

// Explain adds to err how spin ended, if it has, and the last lines of what it
// and the guest wrote.
func (p *process) Explain(err error) error {
	if err == nil {
		return nil
	}
	if broken(err) {
		select {
		case <-p.ended:
		case <-time.After(grace):
		}
	}
	how := ""
	select {
	case <-p.ended:
		how = fmt.Sprintf("; spin ended with %v", p.cmd.ProcessState)
	default:
	}
	if log := p.log.String(); log != "" {
		how += fmt.Sprintf("; its last lines: %s", log)
	}
	return fmt.Errorf("%w%s", err, how)
}

// Ended is closed when no process of the group is left.
func (p *process) Ended() <-chan struct{} { return p.ended }

// Scope names the processes of the group that there are now: Spin starts the
// trigger a while after itself.
func (p *process) Scope() runtime.Scope {
	own, err := members(p.pid)
	if err != nil {
		own = []int{p.pid}
	}
	return runtime.Scope{Own: own}
}

// Close asks the group to end as Ctrl-C does, kills it after a grace and
// removes what was made for it.
func (p *process) Close() error {
	p.closing.Do(func() {
		p.signal(unix.SIGINT)
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.ended:
		case <-t.C:
			p.signal(unix.SIGKILL)
			<-p.ended
		}
		p.closeErr = errors.Join(p.endErr, p.remove())
	})
	return p.closeErr
}
