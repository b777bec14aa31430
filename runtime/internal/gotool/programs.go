package gotool

// The programs that the container runtimes are made of. The versions are those
// of go.mod where a library of the same module is linked.
var (
	// Containerd holds containerd and its shim for runc.
	Containerd = Program{
		Name:    "containerd",
		Version: "v2.2.8",
		Packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		},
		Tags:  "no_cri,no_btrfs,no_zfs,no_devmapper,no_aufs",
		Takes: "about two minutes",
	}
	// Ctr holds containerd's own command line client.
	Ctr = Program{
		Name:     "ctr",
		Version:  Containerd.Version,
		Packages: []string{"github.com/containerd/containerd/v2/cmd/ctr"},
		Tags:     Containerd.Tags,
		Takes:    "about a minute",
	}
	// Runc holds runc, without seccomp: that would take libseccomp.
	Runc = Program{
		Name:     "runc",
		Version:  "v1.4.3",
		Packages: []string{"github.com/opencontainers/runc"},
		CGO:      true,
		Takes:    "about 20 seconds",
	}
)
