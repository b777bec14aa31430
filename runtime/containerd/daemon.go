package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	dialTime  = time.Second
	readyTime = 20 * time.Second // for a private daemon to listen
	killTime  = 10 * time.Second // for a killed private daemon to end
)

// dial finds out whether a daemon listens at address, before a client of the
// runtime called name waits for one in vain, and returns the number of its
// process.
func dial(name, address string) (pid int, err error) {
	conn, err := net.DialTimeout("unix", address, dialTime)
	if err != nil {
		fix := "start that containerd, or give no address to have a private one"
		if errors.Is(err, fs.ErrPermission) {
			fix = "run as root"
		}
		return 0, &workload.Unavailable{What: name, Why: "nothing answers at " + address, Fix: fix, Err: err}
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(cerr, err); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}

// daemon is a private containerd.
type daemon struct {
	log     string
	process *os.Process
	exited  chan struct{} // err is set
	err     error
}

// config keeps everything of the daemon in the run's directory and leaves out
// the plugins that would reach beyond it.
const config = `version = 3
root = %q
state = %q
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.tracing",
  "io.containerd.monitor.container.v1.restart",
  "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = %q
`

// startDaemon starts containerd, the first of the programs, and waits until it
// listens. It finds the programs beside those that it is given before others.
// The daemon dies with this process.
func startDaemon(ctx context.Context, dir *rundir.Dir, address string, programs ...string) (*daemon, error) {
	file := dir.Path("containerd.toml")
	content := fmt.Sprintf(config, dir.Path("root"), dir.Path(rundir.StateName), address)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		return nil, err
	}
	d := &daemon{log: dir.Path("containerd.log"), exited: make(chan struct{})}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	var path []string
	for _, p := range programs {
		path = append(path, filepath.Dir(p))
	}
	cmd := exec.Command(programs[0], "--config", file)
	cmd.Dir = dir.Path()
	cmd.Env = append(os.Environ(), dir.Env(), "PATH="+strings.Join(append(path, os.Getenv("PATH")), ":"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.run(cmd); err != nil {
		return nil, fmt.Errorf("starting containerd: %w", err)
	}
	if err := d.listening(ctx, address); err != nil {
		return d, err
	}
	return d, nil
}

// run starts cmd from a thread that lives as long as the process does, because
// its death is what the kernel tells a child of.
func (d *daemon) run(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		d.process = cmd.Process
		started <- err
		if err == nil {
			d.err = cmd.Wait()
		}
		close(d.exited)
	}()
	return <-started
}

// listening waits until the daemon takes connections.
func (d *daemon) listening(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		conn, err := net.Dial("unix", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-d.exited:
			return fmt.Errorf("containerd ended while starting: %v; its log ends: %s", d.err, d.tail())
		case <-ctx.Done():
			return fmt.Errorf("containerd does not listen at %s: %w; its log ends: %s", address, context.Cause(ctx), d.tail())
		case <-time.After(time.Millisecond):
		}
	}
}

// end kills the daemon if nothing else has, and waits until it has ended.
func (d *daemon) end() error {
	if err := d.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing containerd: %w", err)
	}
	select {
	case <-d.exited:
		return nil
	case <-time.After(killTime):
		return fmt.Errorf("process %d did not end within %v of SIGKILL", d.process.Pid, killTime)
	}
}

// tail returns the end of the daemon's log.
func (d *daemon) tail() string {
	f, err := os.Open(d.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var tail excerpt.Writer
	io.Copy(&tail, f)
	return tail.String()
}

// explain adds to an error of the daemon what is known about it.
func (l *link) explain(err error) error {
	if err == nil || !errdefs.IsUnavailable(err) && !errdefs.IsNotImplemented(err) {
		return err
	}
	if l.daemon != nil {
		select {
		case <-l.daemon.exited:
			return fmt.Errorf("the private containerd has ended (%v; its log ends: %s): %w", l.daemon.err, l.daemon.tail(), err)
		default:
		}
	}
	return fmt.Errorf("containerd at %s: %w", l.address, err)
}
