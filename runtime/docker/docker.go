// Package docker runs guests in containers through the Docker Engine API: in a
// daemon that runs already or, where there is none, in a private one whose
// state is all in one directory that goes with it.
package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/api/types/system"
	// Of the two clients this is the one that is kept; it talks to the API 1.40
	// and later, which is Docker 19.03, and Debian 12 has 20.10.
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// Options choose what New does. The zero value means the daemon that
// DOCKER_HOST names, else the one at Docker's default socket, else, as root, a
// private one.
type Options struct {
	// Host is the address of a daemon on this host that runs already, such as
	// unix:///var/run/docker.sock or tcp://127.0.0.1:2375. It goes with neither
	// Private nor Dockerd.
	Host string
	// Private has a private daemon started even if another runs.
	Private bool
	// Dockerd is the path of a dockerd, which is started as a private daemon. If
	// it is empty a private dockerd is looked for on PATH and where
	// scripts/docker.sh puts it. containerd, its shim and runc are taken from
	// beside it or from PATH.
	Dockerd string
	// Network is that of the containers of calls, as docker run --network has
	// it. If it is empty Docker is told to leave the network alone, so that a
	// container has an empty network namespace as in the other container
	// runtimes; with "none" the daemon arranges for the same by a hook that
	// takes longer than all the rest. A container that serves is in the host's
	// network, or on a bridge of the run's own.
	Network string
}

const (
	cleanTime = 20 * time.Second // for what is done after a caller's context may have ended
	pingTime  = 10 * time.Second // for a daemon that takes connections to answer
)

// Runtime is the runtime "docker". It is closed when its images are.
type Runtime struct {
	options Options

	mu   sync.Mutex
	link *link // nil until it is needed and after Close
}

// A link is a connection to a daemon, and what is this run's in it.
type link struct {
	dir     *rundir.Dir
	host    string
	network string // of calls
	client  *client.Client
	private *private // nil if the daemon is not ours
	info    system.Info
	images  atomic.Int64
	last    atomic.Int64
	shared  processes
	bridge  runBridge
}

// New returns the runtime "docker". Nothing is started before the first Probe
// or Prepare.
func New(options Options) *Runtime {
	return &Runtime{options: options}
}

// Name returns "docker".
func (r *Runtime) Name() string { return "docker" }

// Probe connects to the daemon, starting it first if it is a private one, and
// asks for its version and for what it gives a container.
func (r *Runtime) Probe(ctx context.Context) (runtime.Info, error) {
	l, err := r.connect(ctx)
	if err != nil {
		return runtime.Info{}, err
	}
	v, err := l.client.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return runtime.Info{}, fmt.Errorf("docker: asking for the version: %w", l.explain(err))
	}
	version := []string{"docker " + v.Version}
	for _, c := range v.Components {
		if c.Name == "containerd" || c.Name == "runc" {
			version = append(version, c.Name+" "+c.Version)
		}
	}
	return runtime.Info{Version: strings.Join(version, ", "), Settings: l.settings()}, nil
}

// settings tells what a container is given, which is more than the other
// container runtimes give it.
func (l *link) settings() string {
	network := "empty network namespace"
	if l.network != "" {
		network = "network " + l.network
	}
	bridge := "bridge behind the daemon's packet filter"
	if l.private != nil {
		bridge = "bridge without packet filter"
	}
	var security []string
	for _, option := range l.info.SecurityOptions { // as name=seccomp,profile=default
		name, profile, _ := strings.Cut(strings.TrimPrefix(option, "name="), ",profile=")
		security = append(security, strings.TrimSpace(name+" "+profile))
	}
	if len(security) == 0 {
		security = []string{"no seccomp"}
	}
	s := []string{
		"storage " + l.info.Driver + backing(l.info.DriverStatus),
		"runtime " + l.info.DefaultRuntime,
		strings.Join(security, ", "),
		"Docker's capabilities",
		network + ", host or " + bridge + " when serving",
		"no log driver",
	}
	if l.private != nil {
		return strings.Join(append(s, "private daemon"), ", ")
	}
	return strings.Join(append(s, "daemon at "+l.host), ", ")
}

// backing says in a clause on which file system the daemon has what containers
// write, where it tells. The name is the driver's: extfs is ext4 too.
func backing(status [][2]string) string {
	for _, s := range status {
		if s[0] == "Backing Filesystem" {
			return " on " + s[1]
		}
	}
	return ""
}

// connect returns the link, made if there is none.
func (r *Runtime) connect(ctx context.Context) (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link != nil {
		return r.link, nil
	}
	host, err := chooseHost(r.options)
	if err != nil {
		return nil, err
	}
	var programs programs
	if host == "" {
		if programs, err = findPrograms(r.options.Dockerd); err != nil {
			return nil, err
		}
	}
	if err := rundir.Sweep(ctx, purgeOf(host)); err != nil {
		return nil, err
	}
	dir, err := rundir.Make()
	if err != nil {
		return nil, err
	}
	l := &link{dir: dir, host: host, network: r.options.Network}
	if err := l.open(ctx, programs); err != nil {
		return nil, errors.Join(err, l.close())
	}
	r.link = l
	return l, nil
}

func (l *link) open(ctx context.Context, programs programs) (err error) {
	if l.host != "" {
		if err := l.dir.UseDaemon(l.host); err != nil {
			return err
		}
		l.client, err = dial(ctx, l.host)
	} else {
		l.host = "unix://" + l.dir.Path(dockerSocket)
		l.private, l.client, err = startPrivate(ctx, l.dir, l.host, programs)
	}
	if err != nil {
		return err
	}
	info, err := l.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return fmt.Errorf("docker: asking for its settings: %w", l.explain(err))
	}
	l.info = info.Info
	return nil
}

// Close stops a private daemon, or removes what this run had in another one.
// Images that are still open and instances that still run end with it.
func (r *Runtime) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil {
		return nil
	}
	l := r.link
	r.link = nil
	return l.close()
}

func (l *link) close() error {
	var errs []error
	// The directory's end is that of every process that is marked as its own.
	end := l.dir.Close
	if l.client != nil {
		if l.private == nil {
			ctx, cancel := context.WithTimeout(context.Background(), rundir.ForeignTime)
			defer cancel()
			if err := purge(ctx, l.client, l.dir.ID()); err != nil {
				errs = append(errs, fmt.Errorf("leaving what is in the daemon at %s to the next run: %w", l.host, err))
				end = l.dir.Leave
			}
		}
		errs = append(errs, l.client.Close())
	}
	errs = append(errs, end())
	if l.private != nil {
		errs = append(errs, l.private.end())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	return nil
}
