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

// Spec returns what a container of every runtime is given: containerd's
// defaults, as ctr run uses them, with Entrypoint as its command and the given
// cgroup. It has its own pid, ipc, uts, mount and network namespace, the last
// without an interface; the root file system is writable and is in the
// directory rootfs of the bundle.
func Spec(cgroup string) (*specs.Spec, error) {
	ctx := namespaces.WithNamespace(context.Background(), "wasmbench")
	spec, err := oci.GenerateSpecWithPlatform(ctx, nil, "linux", &containers.Container{},
		oci.WithDefaultUnixDevices,
		oci.WithProcessArgs(Entrypoint),
		oci.WithEnv([]string{pathEnv}),
		oci.WithCgroup(cgroup))
	if err != nil {
		return nil, fmt.Errorf("making the runtime specification: %w", err)
	}
	return spec, nil
}
