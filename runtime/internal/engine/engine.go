package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/process"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Runtime is an engine in a host process of its own. Its fields are set
// before first use.
type Runtime struct {
	Label    string   // the value of /runtime=
	Host     *Host    // the engine's program
	Flags    []string // for the program, before the verb; what it compiles depends on them
	Tuning   []string // further flags, on which that does not depend
	AtStart  bool     // compile at each start rather than in Prepare
	Embedded bool     // hold many instances in one process rather than one in each

	// ReadsModule is whether the engine reads the module beside what it compiled it to.
	ReadsModule bool

	// StoreHost is the program that holds the database of a Stored workload beside
	// the engine, and takes the same flags. Nil where there is none.
	StoreHost *Host

	// NoGuard says why the host cannot interrupt a guest; nil where it can.
	NoGuard *runtime.Unavailable

	guarded bool // see Guarded
}

// Name returns the label.
func (r *Runtime) Name() string { return r.Label }

// Probe builds the host program where that has not been done and asks it.
func (r *Runtime) Probe(ctx context.Context) (runtime.Info, error) {
	if err := r.available(); err != nil {
		return runtime.Info{}, err
	}
	verb, where := "run", "a process an instance"
	if r.Embedded {
		verb, where = "hold", "instances in one process"
	}
	out, err := r.output(ctx, r.Host, "info", verb)
	if err != nil {
		return runtime.Info{}, err
	}
	version, settings, _ := strings.Cut(strings.TrimSpace(out), "\n")
	when := "compiled in Prepare"
	if r.AtStart {
		when = "compiled at each start"
	}
	return runtime.Info{Version: version, Settings: strings.Join([]string{settings, when, where}, ", ")}, nil
}

// output runs a verb of a host to its end.
func (r *Runtime) output(ctx context.Context, h *Host, verb ...string) (string, error) {
	path, _, err := h.Path(ctx)
	if err != nil {
		return "", err
	}
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, r.args(verb[0], verb[1:]...)...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := run(cmd); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", &HostError{Runtime: r.Label, Verb: verb[0], Text: strings.TrimSpace(stderr.String()), Err: err}
	}
	return out.String(), nil
}

// run runs a command of exec.CommandContext in a process group of its own, which
// ends with the context. The command dies with the harness, also when that is
// killed: what it makes would be in the next run's way. The signal comes when
// the thread ends that started the command, so that is kept.
func run(cmd *exec.Cmd) error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = process.Grace
	return cmd.Run()
}

// A HostError is what an engine host reported.
type HostError struct {
	Runtime string
	Verb    string // what it was doing
	Text    string // what it said
	// Err is how its process ended. Where that lives on it is a *runtime.Exhausted,
	// or the cause of the context that ended what was asked, or nil.
	Err error
}

func (e *HostError) Error() string {
	s := fmt.Sprintf("runtime %s: %s: %s", e.Runtime, e.Verb, e.Text)
	if e.Err != nil && !errors.As(e.Err, new(*runtime.Exhausted)) { // which the text has
		s += " (" + e.Err.Error() + ")"
	}
	return s
}

// Unwrap returns Err.
func (e *HostError) Unwrap() error { return e.Err }

// Prepare takes the guest's module, bounds its shape and compiles it into the
// cache.
func (r *Runtime) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	if r.Embedded {
		g, err := r.prepare(ctx, w, workload.Reactor)
		if err != nil {
			return nil, err
		}
		return r.held(g), nil
	}
	g, err := r.prepare(ctx, w, workload.Command)
	if err != nil {
		return nil, err
	}
	return &processImage{shipped: g.shipped, program: r.program(g, "run", g.src...), dir: g.dir, size: g.size}, nil
}

// PrepareServer makes the guest's reactor ready as Prepare does. The host's
// net/http server stands in front of it.
func (r *Runtime) PrepareServer(ctx context.Context, w workload.Workload, o runtime.ServeOptions) (runtime.ServerImage, error) {
	if o.Bridge {
		return nil, runtime.NoBridge(r.Label)
	}
	g, err := r.prepare(ctx, w, workload.Reactor)
	if err != nil {
		return nil, err
	}
	web := servesWeb(w)
	if r.Embedded {
		return &heldServer{shipped: g.shipped, image: r.held(g), pool: o.Pool, web: web}, nil
	}
	flags := []string{"-pool=" + strconv.Itoa(o.Pool), "-web=" + strconv.FormatBool(web)}
	return &processServer{shipped: g.shipped, program: r.program(g, "serve", flags...), src: g.src, dir: g.dir, size: g.size}, nil
}

// servesWeb tells whether a guest is to be asked as package web has it.
func servesWeb(w workload.Workload) bool {
	web, ok := w.(workload.Web)
	return ok && web.Exchanges() != nil
}

// A guest is what a host is started with.
type guest struct {
	host string   // the program's path
	src  []string // the module and, unless it is compiled at each start, the artefact
	size int64    // of what is loaded, in bytes
	dir  string   // of the host, that the guest has; "" for none

	shipped shipped
}

// prepare finds the guest's module, bounds its shape and compiles it.
func (r *Runtime) prepare(ctx context.Context, w workload.Workload, form workload.Form) (g guest, err error) {
	exports := []string{exchange.Entry}
	if form == workload.Reactor {
		exports = []string{exchange.Memory, exchange.Request, exchange.Answer}
	}
	if err := r.available(); err != nil {
		return g, err
	}
	if g.dir, err = hostdir.Of(w); err != nil {
		return g, fmt.Errorf("runtime %s, workload %s: %w", r.Label, w.Name(), err)
	}
	host, err := r.host(w, g.dir)
	if err != nil {
		return g, err
	}
	path, err := w.Artifact(ctx, form)
	if err != nil {
		return g, err
	}
	if err := module.Check(path, string(form), exports...); err != nil {
		return g, fmt.Errorf("runtime %s, workload %s: %w", r.Label, w.Name(), err)
	}
	g.src = []string{path}
	load := path
	if !r.AtStart {
		if load, err = r.compile(ctx, host, path); err != nil {
			return g, err
		}
		g.src = append(g.src, load)
	}
	if g.size, err = cache.Size(load); err != nil {
		return g, err
	}
	if g.host, _, err = host.Path(ctx); err != nil {
		return g, err
	}
	g.shipped, err = r.ship(g)
	return g, err
}

// host returns the program for a workload whose guest has the directory dir.
func (r *Runtime) host(w workload.Workload, dir string) (*Host, error) {
	if s, ok := w.(workload.Stored); !ok || !s.Stored() {
		return r.Host, nil
	}
	if r.StoreHost == nil {
		return nil, &runtime.Unavailable{
			What: fmt.Sprintf("workload %s on %s", w.Name(), r.Label),
			Why:  "this engine's host gives guests no database",
			Fix:  "choose native, a container manager, or an engine of package wazero, wasmtime or wasmedge",
			Err:  workload.ErrNoForm,
		}
	}
	if dir == "" {
		return nil, &runtime.Unavailable{
			What: fmt.Sprintf("the database of workload %s", w.Name()),
			Why:  "it is in the workload's directory, and there is none",
			Fix:  "let the workload's Mount return the directory that has " + workload.StoreFile,
		}
	}
	return r.StoreHost, nil
}

func (r *Runtime) held(g guest) *heldImage {
	return &heldImage{shipped: g.shipped, program: r.program(g, "hold", g.src...), dir: g.dir, size: g.size, guarded: r.guarded, turn: make(chan struct{}, 1)}
}

// program is the host with a verb for g.
func (r *Runtime) program(g guest, verb string, operands ...string) process.Program {
	args := r.args(verb, operands...)
	if g.dir != "" {
		args = append([]string{"-dir", g.dir}, args...)
	}
	return process.Program{Path: g.host, Args: args}
}

func (r *Runtime) args(verb string, operands ...string) []string {
	return slices.Concat(r.Flags, r.Tuning, []string{verb}, operands)
}

// compile returns the compiled module, from the cache where it is known. The
// entry's key covers the host program and its flags, so that no engine meets
// another's code.
func (r *Runtime) compile(ctx context.Context, h *Host, path string) (string, error) {
	_, host, err := h.Path(ctx)
	if err != nil {
		return "", err
	}
	content, err := cache.FileKey(path)
	if err != nil {
		return "", err
	}
	entry, err := cache.Make(ctx, "compiled", cache.Key(host, strings.Join(r.Flags, " "), content), func(dir string) error {
		_, err := r.output(ctx, h, "compile", path, filepath.Join(dir, "module"))
		return err
	})
	if err != nil {
		return "", err
	}
	// The kernel tells of the mapped file by this name.
	return filepath.EvalSymlinks(filepath.Join(entry, "module"))
}
