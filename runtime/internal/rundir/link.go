package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkFile tells that there may be a device of the run.
const linkFile = "link"

// UseLink notes that the run is about to make a network device of the host, or to
// have a daemon make one, and returns the name that it is to have. The device goes
// with the run.
func (d *Dir) UseLink() (name string, err error) {
	return linkOf(d.id), os.WriteFile(d.Path(linkFile), nil, 0o600)
}

// removeLink removes the device of the run if it has noted one. Others do not need
// the kernel to know of devices.
func (d *Dir) removeLink() error {
	switch _, err := os.Lstat(d.Path(linkFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return removeLink(d.id)
}

// linkOf keeps within the 15 bytes that the kernel gives such a name.
func linkOf(id string) string { return "wb-" + id }

// removeLink removes the device of a run, if it is there.
func removeLink(id string) error {
	link, err := netlink.LinkByName(linkOf(id))
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if errors.As(err, new(netlink.LinkNotFoundError)) || err == unix.ENODEV {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the network device %s: %w", linkOf(id), err)
	}
	return nil
}
