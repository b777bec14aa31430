package spin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/exchange"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
	"github.com/seed-0132abb7/wasmbench/workload"
)

const (
	manifestFile = "spin.toml"
	moduleFile   = "guest.wasm"
	cacheDir     = "cache"
)

// manifest is the same for every guest. The WAGI executor calls _start; naming
// the entry point is deprecated.
const manifest = `spin_manifest_version = 2

[application]
name = "wasmbench"
version = "1.0.0"

[[trigger.http]]
route = "/"
component = "guest"
executor = { type = "wagi" }

[component.guest]
source = "` + moduleFile + `"
`

// An app is a guest with its manifest in a private directory, from which spin
// runs it.
type app struct {
	spin  string
	flags []string // of the trigger
	dir   *rundir.Dir
	bytes int64
	last  atomic.Int64
}

// Prepare makes the private directory of w's guest, clears what dead runs left
// and, if the cache is to be filled, starts spin once.
func (s *spin) Prepare(ctx context.Context, w workload.Workload) (runtime.Image, error) {
	a, err := s.prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	return &image{a}, nil
}

func (s *spin) prepare(ctx context.Context, w workload.Workload) (*app, error) {
	path, _, err := s.binary(ctx)
	if err != nil {
		return nil, err
	}
	if m, ok := w.(workload.Mounted); ok && m.Mount() != "" {
		return nil, &workload.Unavailable{
			What: "workload " + w.Name() + " on spin",
			Why:  "its guest works on a directory of the host, and spin up gives guests read-only copies of files unless it is told otherwise",
			Fix:  "choose another runtime",
			Err:  workload.ErrNoForm,
		}
	}
	guest, err := w.Artifact(ctx, workload.CGI)
	if err != nil {
		return nil, err
	}
	if err := module.Check(guest, string(workload.CGI), exchange.Entry); err != nil {
		return nil, fmt.Errorf("spin: workload %s: %w", w.Name(), err)
	}
	if err := rundir.Sweep(ctx, nil); err != nil {
		return nil, err
	}
	dir, err := rundir.Make()
	if err != nil {
		return nil, err
	}
	a := &app{spin: path, dir: dir}
	if s.options.Cache == Off {
		a.flags = append(a.flags, "--disable-cache")
	}
	if s.options.OnDemand {
		a.flags = append(a.flags, "--disable-pooling")
	}
	err = a.install(guest)
	if err == nil && s.options.Cache != Off {
		err = a.fill(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spin: preparing workload %s: %w", w.Name(), err), dir.Close())
	}
	return a, nil
}

// install puts the manifest and a copy of the module into the directory.
func (a *app) install(guest string) error {
	if err := os.WriteFile(a.dir.Path(manifestFile), []byte(manifest), 0o600); err != nil {
		return err
	}
	from, err := os.Open(guest)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(a.dir.Path(moduleFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, from)
	a.bytes = n + int64(len(manifest))
	return errors.Join(err, to.Close())
}

// fill has spin compile the guest. Spin says that it serves when all its
// components are compiled, and writes the compiled code as it compiles.
func (a *app) fill(ctx context.Context) error {
	p, err := a.up(ctx, anyPort)
	if err != nil {
		return err
	}
	_, err = p.serving(ctx)
	if err = errors.Join(err, p.Close()); err != nil {
		return err
	}
	size, err := cache.Size(a.dir.Path(cacheDir, "wasmtime"))
	if err != nil || size == 0 {
		return errors.Join(errors.New("spin did not fill its compilation cache, so a start would compile the guest: choose the cache off"), err)
	}
	a.bytes += size
	return nil
}

// Bytes is the size of the manifest, the module and, in a cache, its compiled
// code.
func (a *app) Bytes() int64 { return a.bytes }

// Close removes the directory and ends whatever was started from it.
func (a *app) Close() error { return a.dir.Close() }

// up starts `spin up` with directories of its own. Its working directory must
// not be shared, for Spin writes a lock file there that the trigger reads.
func (a *app) up(ctx context.Context, address string) (*process, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	own := a.dir.Path("i" + strconv.FormatInt(a.last.Add(1), 10))
	args := []string{"up", "--from", a.dir.Path(manifestFile)}
	for _, d := range []struct{ flag, name string }{{"--temp", "temp"}, {"--state-dir", "state"}, {"--log-dir", "log"}} {
		dir := filepath.Join(own, d.name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, errors.Join(err, os.RemoveAll(own))
		}
		args = append(args, d.flag, dir)
	}
	args = append(append(args, "--listen", address), a.flags...)
	p, err := start(a.spin, args, environment(a.dir), a.dir.Path(), func() error { return os.RemoveAll(own) })
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(own))
	}
	return p, nil
}
