// Package spin runs guests under Spin, the WebAssembly application server, by
// the official spin program.
//
// A guest is a WASI preview 1 command in the form workload.CGI, which Spin's
// WAGI executor instantiates anew for each request. An instance is `spin up`:
// one process that reads the manifest and starts a second one, the trigger,
// which compiles the guest or takes it from Wasmtime's compilation cache, and
// listens.
package spin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A Cache is what becomes of a guest's compiled code between starts.
type Cache string

const (
	// Filled is Wasmtime's compilation cache, filled before the first start.
	Filled Cache = "filled"
	// Off compiles the guest at each start.
	Off Cache = "off"
)

// Options choose what New does. The zero value takes spin from PATH, with a
// filled cache and Spin's own choice of the instance allocator.
type Options struct {
	// Path is the spin to use, or its name on PATH.
	Path string
	// Cache is Filled if empty.
	Cache Cache
	// OnDemand allocates each instance by itself rather than from a pool.
	OnDemand bool
}

// New returns the runtime "spin", which is a runtime.Server too. It holds
// nothing that would have to be closed; each image has a private directory
// until it is closed.
func New(options Options) runtime.Runtime { return &spin{options} }

type spin struct{ options Options }

// Name returns "spin".
func (*spin) Name() string { return "spin" }

// Probe asks spin for its version.
func (s *spin) Probe(ctx context.Context) (runtime.Info, error) {
	_, version, err := s.binary(ctx)
	if err != nil {
		return runtime.Info{}, err
	}
	return runtime.Info{Version: version, Settings: s.settings()}, nil
}

func (s *spin) settings() string {
	allocator := "pooling allocator where the address space has room"
	if s.options.OnDemand {
		allocator = "no pooling allocator"
	}
	cache := "compilation cache filled"
	if s.options.Cache == Off {
		cache = "compilation cache off"
	}
	return "WAGI executor, an instance for each request, " + allocator + ", " + cache + ", all processes of spin up counted"
}

// versionTime bounds the question for a version: what is called spin may be
// another program, which does anything.
const versionTime = 10 * time.Second

var versionLine = regexp.MustCompile(`^spin (\d+)\.\d+\.\d.*`)

// oldest is the first major version that reads a manifest of version 2.
const oldest = 2

// binary returns the absolute path of a usable spin and its version line, or
// an *Unavailable.
func (s *spin) binary(ctx context.Context) (path, version string, err error) {
	path, err = s.find()
	if err != nil {
		return "", "", err
	}
	said, err := askVersion(ctx, path)
	if err != nil {
		return "", "", err
	}
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return "", "", &workload.Unavailable{
			What: "spin",
			Why:  fmt.Sprintf("%s is another program: asked for its version it says %q", path, said),
			Fix:  "install Spin (spinframework.dev) and put it first on PATH",
		}
	}
	if major, err := strconv.Atoi(m[1]); err != nil || major < oldest {
		return "", "", &workload.Unavailable{
			What: "spin",
			Why:  fmt.Sprintf("%s is %s, which does not read manifests of version 2", path, m[0]),
			Fix:  fmt.Sprintf("install Spin %d or later", oldest),
		}
	}
	return path, m[0], nil
}

func (s *spin) find() (string, error) {
	name := s.options.Path
	if name == "" {
		name = "spin"
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return filepath.Abs(path)
	}
	u := &workload.Unavailable{What: "spin", Why: "it is not on PATH", Fix: "install Spin and put spin on PATH", Err: err}
	if s.options.Path != "" {
		u.Why, u.Fix = "the program given is not there", "give the path of spin or none"
	}
	return "", u
}

// askVersion returns what `spin --version` prints. Even that reads the user's
// plugins, hence the private directory.
func askVersion(ctx context.Context, path string) (string, error) {
	dir, err := rundir.Make()
	if err != nil {
		return "", err
	}
	limited, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	var said excerpt.Writer
	cmd := exec.CommandContext(limited, path, "--version")
	cmd.Env = environment(dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if cerr := dir.Close(); cerr != nil {
		return "", errors.Join(err, cerr)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		if limited.Err() != nil {
			err = fmt.Errorf("no answer within %v", versionTime)
		}
		return "", &workload.Unavailable{
			What: "spin",
			Why:  fmt.Sprintf("%s does not tell its version, it says %q", path, said.String()),
			Fix:  "install a Spin that runs here and put it first on PATH",
			Err:  err,
		}
	}
	return said.String(), nil
}

// environment is all that spin inherits. The user's settings of Spin, Wasmtime
// and OpenTelemetry come by variables and by files below HOME and the XDG
// directories; none may reach a measurement, and nothing of the user's is
// touched.
//
// The compilation cache is pinned by XDG_CACHE_HOME rather than by a file for
// --cache: no such file pleases all versions of Wasmtime, for older ones
// require the setting "enabled" and later ones refuse it.
func environment(dir *rundir.Dir) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir.Path("home"),
		"TMPDIR=" + dir.Path(),
		"XDG_CACHE_HOME=" + dir.Path(cacheDir),
		"XDG_CONFIG_HOME=" + dir.Path("config"),
		"XDG_DATA_HOME=" + dir.Path("data"),
		"XDG_STATE_HOME=" + dir.Path("state"),
		dir.Env(),
	}
}
