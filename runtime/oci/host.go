package oci

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// CheckHost tries what every container here takes: the rights of root, an
// overlay of two directories below scratch, and a cgroup that can be made. It
// returns an *workload.Unavailable about the runtime called name.
func CheckHost(name, scratch string) error {
	unavailable := func(why, fix string, err error) error {
		return &workload.Unavailable{What: name, Why: why, Fix: fix, Err: err}
	}
	if os.Geteuid() != 0 {
		return unavailable("containers are made by root only", "run as root", nil)
	}
	if err := tryOverlay(scratch); err != nil {
		return unavailable("overlayfs cannot be mounted", "run where mounting is allowed and set TMPDIR to a file system that overlayfs takes, such as ext4, xfs or tmpfs", err)
	}
	if err := tryCgroup(); err != nil {
		return unavailable("cgroups cannot be made", "mount the cgroup file systems writable, for instance with --privileged in a container", err)
	}
	return nil
}

func tryOverlay(scratch string) error {
	dir, err := os.MkdirTemp(scratch, "overlay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	lower := filepath.Join(dir, "lower")
	if err := os.Mkdir(lower, 0o755); err != nil {
		return err
	}
	if err := Overlay(dir, lower); err != nil {
		return err
	}
	return unix.Unmount(filepath.Join(dir, "rootfs"), 0)
}

// Overlay makes rootfs, upper and work in dir and mounts on rootfs an overlay of
// upper and the lower directories, each on top of those before it. No path may
// have a comma or a colon.
func Overlay(dir string, lower ...string) error {
	rootfs, upper, work := filepath.Join(dir, "rootfs"), filepath.Join(dir, "upper"), filepath.Join(dir, "work")
	for _, d := range []string{rootfs, upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	lower = slices.Clone(lower)
	slices.Reverse(lower) // the kernel wants the topmost first
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), upper, work)
	if err := unix.Mount("overlay", rootfs, "overlay", 0, options); err != nil {
		return &os.PathError{Op: "mount overlay", Path: rootfs, Err: err}
	}
	return nil
}

func tryCgroup() error {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return err
	}
	if len(mounts) == 0 {
		return errors.New("no cgroup file system is mounted")
	}
	for _, m := range mounts {
		dir, err := os.MkdirTemp(m.Mountpoint, "wasmbench-probe-")
		if err != nil {
			return err
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}
