package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/seed-0132abb7/wasmbench/workload"
)

const dialTime = time.Second

func unavailable(why, fix string, err error) error {
	return &workload.Unavailable{What: "docker", Why: why, Fix: fix, Err: err}
}

// chooseHost returns the address of a daemon that takes connections, or "" where
// a private one is to be started. An address that somebody has given is taken
// or is an error.
func chooseHost(given string) (string, error) {
	from := given
	if given == "" {
		given = os.Getenv(client.EnvOverrideHost)
		from = client.EnvOverrideHost + "=" + given
	}
	if given != "" {
		return given, reach(given, from)
	}
	err := reach(client.DefaultDockerHost, client.DefaultDockerHost)
	switch {
	case err == nil:
		return client.DefaultDockerHost, nil
	case os.Geteuid() == 0:
		return "", nil
	case errors.Is(err, fs.ErrPermission):
		return "", err
	default:
		return "", unavailable("no daemon runs, and a private one is started by root only", "run as root, or start Docker", errors.Unwrap(err))
	}
}

// reach finds out whether somebody listens at the address host, before a client
// words it worse. The error names it as from.
func reach(host, from string) error {
	u, err := client.ParseHostURL(host)
	if err == nil && u.Scheme != "unix" && u.Scheme != "tcp" {
		err = fmt.Errorf("%q is neither unix nor tcp", u.Scheme)
	}
	if err != nil {
		return unavailable(from+" is no address of a daemon", "give one such as "+client.DefaultDockerHost, err)
	}
	conn, err := net.DialTimeout(u.Scheme, cmp.Or(u.Host, u.Path), dialTime)
	if err != nil {
		fix := "start that daemon, or give no address and unset DOCKER_HOST to have the default daemon or a private one"
		if errors.Is(err, fs.ErrPermission) {
			fix = "run as root or as a member of the socket's group, docker"
		}
		return unavailable("nothing answers at "+from, fix, err)
	}
	return conn.Close()
}

// dial returns a client of the daemon at host. If env is set the environment
// has a say in how to talk to it, as it has for the docker command.
func dial(ctx context.Context, host string, env bool) (*client.Client, error) {
	opts := []client.Opt{client.WithHost(host)}
	if env {
		opts = []client.Opt{client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithAPIVersionFromEnv()}
	}
	c, err := client.New(opts...)
	if err != nil {
		return nil, unavailable("no client can be made for "+host, "see to DOCKER_CERT_PATH and DOCKER_API_VERSION", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pingTime, fmt.Errorf("no answer within %v", pingTime))
	defer cancel()
	if _, err = c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		c.Close()
		fix := "see to that daemon"
		if errdefs.IsInvalidArgument(err) {
			fix = "have Docker 19.03 or later, whose API is " + client.MinAPIVersion
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, unavailable("the daemon at "+host+" cannot be talked to", fix, err)
	}
	return c, nil
}
