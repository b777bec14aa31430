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
func chooseHost(o Options) (string, error) {
	given, from := o.Host, o.Host
	if o.Private || o.Dockerd != "" {
		if given != "" {
			return "", fmt.Errorf("docker: the options name a daemon, %s, and ask for a private one", given)
		}
		return "", nil
	}
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
	if u.Scheme == "tcp" && !loopback(u.Host) {
		return unavailable(from+" is not on this host, where its processes would be measured", "give a daemon of this host, at its socket or a loopback address",
			fmt.Errorf("%q is no loopback address", u.Host))
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

// loopback reports whether a host and a port are of the loopback interface.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// dial returns a client of a daemon at host that is not ours. The environment
// has a say in how to talk to it, as it has for the docker command.
func dial(ctx context.Context, host string) (*client.Client, error) {
	c, err := client.New(client.WithTLSClientConfigFromEnv(), client.WithHost(host), client.WithAPIVersionFromEnv())
	if err != nil {
		return nil, unavailable("no client can be made for "+host, "see to DOCKER_CERT_PATH and DOCKER_API_VERSION", err)
	}
	limited, cancel := context.WithTimeoutCause(ctx, pingTime, fmt.Errorf("no answer within %v", pingTime))
	defer cancel()
	if _, err = c.Ping(limited, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		c.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, fmt.Errorf("docker: waiting for the daemon at %s: %w", host, cause)
		}
		if errdefs.IsInvalidArgument(err) {
			return nil, tooOld(host, err)
		}
		if cause := context.Cause(limited); cause != nil {
			err = cause
		}
		return nil, unavailable("the daemon at "+host+" cannot be talked to", "see to that daemon", err)
	}
	return c, nil
}

// tooOld words the error of a daemon that does not have the API of the client.
func tooOld(host string, err error) error {
	return unavailable("the daemon at "+host+" cannot be talked to", "have Docker 19.03 or later, whose API is "+client.MinAPIVersion, err)
}
