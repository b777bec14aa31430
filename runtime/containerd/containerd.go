// Package containerd runs guests in containers that containerd manages: its
// client, its shim for runc and a snapshotter. By default it starts a private
// daemon whose state is all in one directory that goes with it.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/gotool"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// Options choose what New does. The zero value means a private daemon built,
// with its shim and runc, from pinned Go modules at first use.
type Options struct {
	// Name is the runtime's name; "containerd" if empty, and that of NewWasmtime
	// "containerd-wasmtime".
	Name string
	// Address is the socket of a daemon that runs already. It must see the
	// same file system as this process and, for servers on a bridge, the same
	// processes.
	Address string
	// Snapshotter is "overlayfs" if empty.
	Snapshotter string
	// Runtime is the name of a shim, as containerd has it, or the path of one;
	// if empty it is "io.containerd.runc.v2", and "io.containerd.wasmtime.v1"
	// for NewWasmtime.
	Runtime string
	// Runc is the path of the runc that a shim for runc calls. If it is empty a
	// private daemon has the built one and another daemon its own.
	Runc string
}

const (
	defaultName        = "containerd"
	defaultSnapshotter = "overlayfs"
	defaultRuntime     = "io.containerd.runc.v2"
)

// cleanTime bounds what is done after a caller's context may have ended.
const cleanTime = 20 * time.Second

// Runtime is containerd with one shim, and a runtime.Server too. It is closed
// when its images are. Its instances can be paused, where the shim can, and
// restarted.
type Runtime struct {
	options Options
	modules bool // what the shim runs are WASI modules
	shared  bool // all containers are under one shim
	*connection
}

// A connection is what a runtime has in common with those that it is made from
// or that are made from it.
type connection struct {
	mu   sync.Mutex
	link *link // nil until it is needed and after Close
}

// A link is a connection to a daemon, and what is this run's in it.
type link struct {
	options   Options
	dir       *rundir.Dir
	client    *client.Client
	daemon    *daemon // nil if the daemon is not ours
	pid       int
	address   string
	namespace string
	runc      string       // "" if unknown
	group     *group       // of the containers that share a shim, nil until it is needed
	last      atomic.Int64 // number given to an image or a container

	// removing is held while an image is removed: another that shares its
	// base's snapshot would lose it between finding it and building on it.
	removing sync.RWMutex
}

// New returns the runtime "containerd". Nothing is started before the first
// Probe or Prepare.
func New(options Options) *Runtime {
	if options.Name == "" {
		options.Name = defaultName
	}
	if options.Snapshotter == "" {
		options.Snapshotter = defaultSnapshotter
	}
	if options.Runtime == "" {
		options.Runtime = defaultRuntime
	}
	return &Runtime{options: options, connection: &connection{}}
}

// SharedShim returns the same runtime with all its containers under one shim,
// which must be one for runc; otherwise Probe and Prepare of what it returns say
// that this is *Unavailable. Both use one daemon, and the Close of either closes
// both.
func (r *Runtime) SharedShim() *Runtime {
	return &Runtime{options: r.options, modules: r.modules, shared: true, connection: r.connection}
}

// Name returns the name that the options give.
func (r *Runtime) Name() string { return r.options.Name }

// Probe connects to the daemon, building and starting it first if it is a
// private one, and asks for its version.
func (r *Runtime) Probe(ctx context.Context) (runtime.Info, error) {
	l, err := r.connect(ctx)
	if err != nil {
		return runtime.Info{}, err
	}
	version, err := l.client.Version(l.context(ctx))
	if err != nil {
		return runtime.Info{}, l.explain(err)
	}
	info := runtime.Info{Version: "containerd " + version.Version, Settings: "snapshotter " + l.options.Snapshotter + l.fileSystem(ctx) + ", shim " + l.options.Runtime}
	if r.shared {
		info.Settings += ", one shim for all"
	}
	if l.runc != "" {
		v, err := runc.Version(ctx, l.runc)
		if err != nil {
			return runtime.Info{}, err
		}
		info.Version += ", " + v
		info.Settings += ", " + runc.Seccomp(v)
	}
	if r.modules {
		info.Version += ", " + l.shimVersion(ctx)
		info.Settings += ", module compiled at each start"
	} else {
		info.Settings += ", servers on the host's network or on a bridge without packet filter"
	}
	switch {
	case l.daemon != nil:
		info.Settings += ", private daemon"
	case l.runc == "" && !r.modules:
		info.Settings += ", daemon at " + l.address + " with its own runc"
	default:
		info.Settings += ", daemon at " + l.address
	}
	return info, nil
}

// fileSystem says in a clause on which file system the snapshots are, where the
// daemon tells where it has them and that is a place which this process sees.
func (l *link) fileSystem(ctx context.Context) string {
	answer, err := l.client.IntrospectionService().Plugins(ctx, fmt.Sprintf("type==%s,id==%s", plugins.SnapshotPlugin, l.options.Snapshotter))
	if err != nil {
		return ""
	}
	for _, p := range answer.Plugins {
		root := p.Exports["root"]
		if root == "" {
			continue
		}
		if disk, err := oci.FileSystem(root); err == nil {
			return " on " + disk
		}
	}
	return ""
}

// connect returns the link, made if there is none.
func (r *Runtime) connect(ctx context.Context) (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shared && !forRunc(r.options) {
		return nil, &workload.Unavailable{
			What: r.options.Name + " with one shim for all containers",
			Why:  "the shim " + r.options.Runtime + " does not look after several",
			Fix:  "choose " + defaultRuntime + " or a shim for each container",
		}
	}
	if r.link == nil {
		l, err := r.open(ctx)
		if err != nil {
			return nil, err
		}
		r.link = l
	}
	if r.shared && r.link.group == nil {
		socket, err := r.link.dir.NoteGroup(r.link.address, groupName)
		if err != nil {
			return nil, err
		}
		r.link.group = newGroup(socket)
	}
	return r.link, nil
}

// open makes a link.
func (r *Runtime) open(ctx context.Context) (*link, error) {
	if os.Geteuid() != 0 {
		return nil, oci.CheckHost(r.options.Name, "")
	}
	if r.options.Address != "" {
		if _, err := dial(r.options.Name, r.options.Address); err != nil {
			return nil, err
		}
	} else if r.modules {
		if _, err := findShim(r.options); err != nil {
			return nil, err
		}
	}
	if err := rundir.Sweep(ctx, purgeOf(r.options)); err != nil {
		return nil, err
	}
	dir, err := rundir.Make()
	if err != nil {
		return nil, err
	}
	l := &link{options: r.options, dir: dir, namespace: rundir.Namespace(dir.ID())}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *link) open(ctx context.Context) (err error) {
	if l.options.Runc != "" {
		if l.runc, err = runc.Find(l.options.Runc); err != nil {
			return err
		}
	}
	if l.options.Address != "" {
		l.address = l.options.Address
		if err := l.dir.UseDaemon(l.address); err != nil {
			return err
		}
	} else if err := l.startDaemon(ctx); err != nil {
		return err
	}
	if l.pid, err = dial(l.options.Name, l.address); err != nil {
		return err
	}
	l.client, err = client.New(l.address, client.WithTimeout(10*time.Second))
	return err
}

// startDaemon builds a private daemon and starts it.
func (l *link) startDaemon(ctx context.Context) (err error) {
	if err := oci.CheckHost(l.options.Name, l.dir.Path()); err != nil {
		return err
	}
	if l.runc == "" && forRunc(l.options) {
		if l.runc, err = gotool.Runc.Find(ctx, "runc"); err != nil {
			return err
		}
	}
	binary, err := gotool.Containerd.Find(ctx, "containerd")
	if err != nil {
		return err
	}
	l.address = l.dir.Path("containerd.sock")
	programs := []string{binary}
	if l.runc != "" {
		programs = append(programs, l.runc)
	}
	l.daemon, err = startDaemon(ctx, l.dir, l.address, programs...)
	return err
}

// forRunc reports whether the shim is one for runc, which takes its options and
// can look after several containers.
func forRunc(o Options) bool { return strings.Contains(o.Runtime, "runc") }

// silent is what the client logs to: what matters comes back as an error.
var silent = sync.OnceValue(func() *log.Entry {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	return logrus.NewEntry(logger)
})

// context adds the run's namespace to ctx.
func (l *link) context(ctx context.Context) context.Context {
	return log.WithLogger(namespaces.WithNamespace(ctx, l.namespace), silent())
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
	end := l.dir.Close
	if l.client != nil {
		if l.daemon == nil {
			ctx, cancel := context.WithTimeout(context.Background(), rundir.ForeignTime)
			defer cancel()
			if err := purge(ctx, l.client, l.namespace); err != nil {
				errs = append(errs, fmt.Errorf("leaving what is in the daemon at %s to the next run: %w", l.address, err))
				end = l.dir.Leave
			}
		}
		errs = append(errs, l.client.Close())
	}
	errs = append(errs, end(), l.group.close())
	if l.daemon != nil {
		errs = append(errs, l.daemon.end())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: closing: %w", l.options.Name, err)
	}
	return nil
}
