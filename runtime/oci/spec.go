package oci

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// pathEnv is the whole environment of a guest.
const pathEnv = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// OpenFiles is how many files a process of a container may have open, the soft
// limit and the hard one. The 1024 that containerd sets are too few for 256
// worker threads of Node.js, each of which has four, and Docker sets none; more
// than 4096 not every host lets a container have.
const OpenFiles = 4096

// A Container says in what one container differs from others.
type Container struct {
	// Cgroup is its path below each hierarchy's mount.
	Cgroup string
	// Args is its command; without any it is Entrypoint.
	Args []string
	// HostNetwork leaves it in the host's network, where it can listen on the
	// loopback interface.
	HostNetwork bool
	// Network is the path of a network namespace that it joins, which is not set
	// together with HostNetwork.
	Network string
	// Directory is one of the host that is mounted at workload.MountPoint, with
	// all that is mounted below it, and in which the command begins; without one
	// that begins in the root directory.
	Directory string
}

// Spec returns what a container of every runtime is given: containerd's
// defaults, as ctr run uses them, but for OpenFiles. It has its own pid, ipc,
// uts and mount namespace and, unless it is in the host's network or joins another,
// a network namespace without an interface; the root file system is writable and
// is in the directory rootfs of the bundle.
//
// The guest is root, without a user namespace: what it writes to a directory of
// the host belongs to root there. No limit is set to its processes and threads.
func Spec(c Container) (*specs.Spec, error) {
	if len(c.Args) == 0 {
		c.Args = []string{Entrypoint}
	}
	opts := []oci.SpecOpts{
		oci.WithDefaultUnixDevices,
		oci.WithProcessArgs(c.Args...),
		oci.WithEnv([]string{pathEnv}),
		oci.WithCgroup(c.Cgroup),
		withOpenFiles,
	}
	switch {
	case c.HostNetwork && c.Network != "":
		return nil, fmt.Errorf("a container cannot be in the host's network and join that at %s", c.Network)
	case c.Network != "":
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: c.Network}))
	case c.HostNetwork:
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	if c.Directory != "" {
		// Privately, so that what either side mounts there later stays its own.
		bind := specs.Mount{Destination: workload.MountPoint, Type: "bind", Source: c.Directory, Options: []string{"rbind", "rw", "rprivate"}}
		opts = append(opts, oci.WithMounts([]specs.Mount{bind}), oci.WithProcessCwd(workload.MountPoint))
	}
	ctx := namespaces.WithNamespace(context.Background(), "wasmbench")
	spec, err := oci.GenerateSpecWithPlatform(ctx, nil, "linux", &containers.Container{}, opts...)
	if err != nil {
		return nil, fmt.Errorf("making the runtime specification: %w", err)
	}
	return spec, nil
}

func withOpenFiles(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: OpenFiles, Hard: OpenFiles}}
	return nil
}
