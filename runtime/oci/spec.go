package oci

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// pathEnv is the whole environment of a guest.
const pathEnv = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A Container says in what one container differs from others.
type Container struct {
	// Cgroup is its path below each hierarchy's mount.
	Cgroup string
	// Args is its command; without any it is Entrypoint.
	Args []string
	// HostNetwork leaves it in the host's network, where it can listen on the
	// loopback interface.
	HostNetwork bool
}

// Spec returns what a container of every runtime is given: containerd's
// defaults, as ctr run uses them. It has its own pid, ipc, uts and mount
// namespace and, unless it is in the host's network, a network namespace
// without an interface; the root file system is writable and is in the
// directory rootfs of the bundle.
func Spec(c Container) (*specs.Spec, error) {
	if len(c.Args) == 0 {
		c.Args = []string{Entrypoint}
	}
	opts := []oci.SpecOpts{
		oci.WithDefaultUnixDevices,
		oci.WithProcessArgs(c.Args...),
		oci.WithEnv([]string{pathEnv}),
		oci.WithCgroup(c.Cgroup),
	}
	if c.HostNetwork {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace))
	}
	ctx := namespaces.WithNamespace(context.Background(), "wasmbench")
	spec, err := oci.GenerateSpecWithPlatform(ctx, nil, "linux", &containers.Container{}, opts...)
	if err != nil {
		return nil, fmt.Errorf("making the runtime specification: %w", err)
	}
	return spec, nil
}
