package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// noSource is what a daemon says where it does not find what it is to mount.
const noSource = "bind source path does not exist"

// unseen makes of the daemon's error that an image's directory, which is there
// for this process, does not exist one that tells of a daemon with other file
// systems.
func (g *guest) unseen(err error) error {
	if g.image.directory == "" || !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), noSource) {
		return err
	}
	return g.elsewhere("does not see that directory", err)
}

// checkDirectory makes sure that the directory which a daemon of the host has
// mounted is that of this host: in its own mount namespace another may have the
// same name. A container whose processes cannot be seen is not looked at. Once
// one has had it no other of the image's is, which would take time from its
// start.
func (g *guest) checkDirectory() error {
	if g.image.directory == "" || g.image.link.private != nil || g.image.seen.Load() {
		return nil
	}
	g.identify()
	if p, err := procfs.NewProc(g.pid); err != nil || g.pid == 0 || cgroupOf(p, g.id) == "" {
		return nil
	}
	mounted, err := os.Stat(filepath.Join("/proc", strconv.Itoa(g.pid), "root", workload.MountPoint))
	if err != nil {
		return nil // it has just ended, or is another user's
	}
	ours, err := os.Stat(g.image.directory)
	if err != nil {
		return err
	}
	if os.SameFile(mounted, ours) {
		g.image.seen.Store(true)
		return nil
	}
	return g.elsewhere("has another directory of that name", nil)
}

// elsewhere says that the daemon has other file systems than this process.
func (g *guest) elsewhere(how string, err error) error {
	return &workload.Unavailable{
		What: "docker with the directory " + g.image.directory,
		Why:  "the daemon at " + g.image.link.host + " " + how,
		Fix:  "give a daemon that has this host's file systems, or have a private one",
		Err:  err,
	}
}
