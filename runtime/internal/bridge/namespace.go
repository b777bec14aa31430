package bridge

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
)

// newNamespace returns a new network namespace, which ends when neither a
// descriptor nor a process nor a socket holds it any more, and a handle in it.
func newNamespace() (ns *os.File, h *netlink.Handle, err error) {
	const own = "/proc/thread-self/ns/net"
	err = osthread.Do(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		if ns, err = os.Open(own); err == nil {
			h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		}
		return err
	}, osthread.Network(own)) // out of the new one it comes back
	if err == nil {
		return ns, h, nil
	}
	if h != nil {
		h.Close()
	}
	if ns != nil {
		err = errors.Join(err, ns.Close())
	}
	return nil, nil, err
}

// pathOf returns where other processes find what a descriptor of this one is
// about. Of one that is closed it is the path of nothing.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
