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
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/gotool"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
)

// Options choose what New does. The zero value means a private daemon built,
// with its shim and runc, from pinned Go modules at first use.
type Options struct {
	// Address is the socket of a daemon that runs already. It must see the
	// same file system as this process.
	Address string
	// Snapshotter is "overlayfs" if empty.
	Snapshotter string
	// Runtime is the name of a shim, as containerd has it, or the path of one;
	// "io.containerd.runc.v2" if empty.
	Runtime string
	// Runc is the path of the runc that a shim for runc calls. If it is empty a
	// private daemon has the built one and another daemon its own.
	Runc string
}

const (
	defaultSnapshotter = "overlayfs"
	defaultRuntime     = "io.containerd.runc.v2"
)

// cleanTime bounds what is done after a caller's context may have ended.
const cleanTime = 20 * time.Second

// Runtime is the runtime "containerd". It is closed when its images are.
type Runtime struct {
	options Options

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
	runc      string // "" if unknown
	images    atomic.Int64
	last      atomic.Int64
}

// New returns the runtime "containerd". Nothing is started before the first
// Probe or Prepare.
func New(options Options) *Runtime {
	if options.Snapshotter == "" {
		options.Snapshotter = defaultSnapshotter
	}
	if options.Runtime == "" {
		options.Runtime = defaultRuntime
	}
	return &Runtime{options: options}
}

// Name returns "containerd".
func (r *Runtime) Name() string { return "containerd" }

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
	info := runtime.Info{Version: "containerd " + version.Version, Settings: "snapshotter " + l.options.Snapshotter + ", shim " + l.options.Runtime}
	if l.runc != "" {
		v, err := runc.Version(ctx, l.runc)
		if err != nil {
			return runtime.Info{}, err
		}
		info.Version += ", " + v
		info.Settings += ", " + runc.Seccomp(v)
	}
	if l.daemon != nil {
		info.Settings += ", private daemon"
	} else {
		info.Settings += ", daemon at " + l.address + " with its own runc"
	}
	return info, nil
}

// connect returns the link, made if there is none.
func (r *Runtime) connect(ctx context.Context) (*link, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link != nil {
		return r.link, nil
	}
	if os.Geteuid() != 0 {
		return nil, oci.CheckHost("containerd", "")
	}
	if r.options.Address != "" {
		if _, err := dial(r.options.Address); err != nil {
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
	l := &link{options: r.options, dir: dir, namespace: namespaceOf(dir.ID())}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}
	r.link = l
	return l, nil
}

// namespaceOf names the namespace of a run.
func namespaceOf(id string) string { return "wasmbench-" + id }

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
	if l.pid, err = dial(l.address); err != nil {
		return err
	}
	l.client, err = client.New(l.address, client.WithTimeout(10*time.Second))
	return err
}

// startDaemon builds a private daemon and starts it.
func (l *link) startDaemon(ctx context.Context) (err error) {
	if err := oci.CheckHost("containerd", l.dir.Path()); err != nil {
		return err
	}
	if l.runc == "" {
		if l.runc, err = gotool.Runc.Find(ctx, "runc"); err != nil {
			return err
		}
	}
	binary, err := gotool.Containerd.Find(ctx, "containerd")
	if err != nil {
		return err
	}
	l.address = l.dir.Path("containerd.sock")
	l.daemon, err = startDaemon(ctx, l.dir, binary, l.address, filepath.Dir(l.runc))
	return err
}

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
	if l.client != nil {
		if l.daemon == nil {
			ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
			defer cancel()
			errs = append(errs, purge(ctx, l.client, l.namespace))
		}
		errs = append(errs, l.client.Close())
	}
	errs = append(errs, l.dir.Close())
	if l.daemon != nil {
		errs = append(errs, l.daemon.end())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("containerd: closing: %w", err)
	}
	return nil
}
