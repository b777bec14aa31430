package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/excerpt"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// private is a dockerd and the containerd below it, both ours. dockerd would
// start a containerd by itself, but only if the host has none: it would take
// that one else.
type private struct {
	containerd, dockerd *daemon
}

// containerdConfig keeps everything of containerd in the run's directory and
// leaves out the plugins that would reach beyond it. All versions that Docker
// is used with read it.
const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.restart",
  "io.containerd.internal.v1.tracing",
  "io.containerd.nri.v1.nri",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = %q
`

// dockerdConfig is what dockerd reads instead of /etc/docker/daemon.json. With
// its defaults Docker 20.10 reaches beyond its directories: it makes chains of
// packet filters, the bridge docker0, forwarding in the kernel and
// /etc/docker/key.json, all of which this keeps it from. What it mounts, such as
// the namespaces of networks, is below its exec-root, and a run's directory is
// freed of mounts when it is cleared. /run/docker/plugins it makes whatever it
// is told; rundir removes that with the last run.
func dockerdConfig(dir *rundir.Dir, host, containerd string, major int) ([]byte, error) {
	config := map[string]any{
		"hosts":          []string{host},
		"group":          "root",
		"containerd":     containerd,
		"data-root":      dir.Path("docker"),
		"exec-root":      dir.Path("exec"),
		"pidfile":        dir.Path("docker.pid"),
		"storage-driver": "overlay2",
		"exec-opts":      []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":  cgroupParent(dir),
		"bridge":         "none",
		"iptables":       false,
		"ip6tables":      false,
		"ip-forward":     false,
		"ip-masq":        false,
		"userland-proxy": false,
		"log-level":      "warn",
	}
	if major < 25 { // later ones have no such file and refuse the setting
		config["deprecated-key-path"] = dir.Path("key.json")
	}
	return json.Marshal(config)
}

// dockerSocket is where, in the run's directory, a private dockerd listens.
const dockerSocket = "docker.sock"

// startPrivate starts both daemons, dockerd at the address host, and returns a
// client of it once it answers. They die with this process.
func startPrivate(ctx context.Context, dir *rundir.Dir, host string, programs programs) (*private, *client.Client, error) {
	major, err := majorVersion(ctx, programs)
	if err != nil {
		return nil, nil, err
	}
	containerdSocket := dir.Path("containerd.sock")
	config, err := dockerdConfig(dir, host, containerdSocket, major)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(
		os.WriteFile(dir.Path("containerd.toml"), fmt.Appendf(nil, containerdConfig, dir.Path("root"), dir.Path(rundir.StateName), containerdSocket), 0o600),
		os.WriteFile(dir.Path("dockerd.json"), config, 0o600))
	if err != nil {
		return nil, nil, err
	}
	env := programs.environment(dir.Env())
	p := &private{}
	if p.containerd, err = startDaemon(dir, env, "containerd", programs.containerd, "--config", dir.Path("containerd.toml")); err != nil {
		return p, nil, err
	}
	err = p.containerd.ready(ctx, func(context.Context) error {
		conn, err := net.Dial("unix", containerdSocket)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if err != nil {
		return p, nil, err
	}
	if p.dockerd, err = startDaemon(dir, env, "dockerd", programs.dockerd, "--config-file", dir.Path("dockerd.json")); err != nil {
		return p, nil, err
	}
	c, err := client.New(client.WithHost(host))
	if err != nil {
		return p, nil, err
	}
	// dockerd takes connections long before it answers.
	err = p.dockerd.ready(ctx, func(ctx context.Context) error {
		_, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		if errdefs.IsInvalidArgument(err) {
			return tooOld(host, err)
		}
		return err
	})
	if err != nil {
		c.Close()
		return p, nil, err
	}
	return p, c, nil
}

// majorVersion returns the first number of dockerd's version.
func majorVersion(ctx context.Context, programs programs) (int, error) {
	cmd := exec.CommandContext(ctx, programs.dockerd, "--version") // Docker version 20.10.24, build ...
	cmd.Env = programs.environment("")
	var stderr excerpt.Writer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		return 0, unavailable(programs.dockerd+" does not run", "run scripts/docker.sh after removing it, or install Docker", fmt.Errorf("%w: %s", err, stderr.String()))
	}
	_, version, _ := bytes.Cut(out, []byte("version "))
	first, _, _ := bytes.Cut(version, []byte("."))
	major, err := strconv.Atoi(string(first))
	if err != nil {
		return 0, fmt.Errorf("docker: %s --version wrote %q, which tells no version", programs.dockerd, out)
	}
	return major, nil
}

// daemons returns those that have been started.
func (p *private) daemons() []*daemon {
	return slices.DeleteFunc([]*daemon{p.dockerd, p.containerd}, func(d *daemon) bool { return d == nil })
}

// end kills what is left of the daemons and waits until they have ended.
func (p *private) end() error {
	var errs []error
	for _, d := range p.daemons() {
		errs = append(errs, d.end())
	}
	return errors.Join(errs...)
}
