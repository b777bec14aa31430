package bridge

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newNamespace returns a new network namespace, which ends when neither a
// descriptor nor a process nor a socket holds it any more, and a handle in it.
func newNamespace() (ns *os.File, h *netlink.Handle, err error) {
	unshare := func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) }
	err = visit(unshare, func() (err error) {
		if ns, err = os.Open(currentNamespace); err == nil {
			h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		}
		return err
	})
	if err != nil && ns != nil {
		err, ns = errors.Join(err, ns.Close()), nil
	}
	return ns, h, err
}

// Within calls do on a thread that is in the network namespace at path, and
// returns its error.
func Within(path string, do func() error) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	return visit(func() error { return os.NewSyscallError("setns", unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)) }, do)
}

const currentNamespace = "/proc/thread-self/ns/net"

// visit calls do on a thread that enter takes to another network namespace, and
// brings that back. Another goroutine never meets it there: where it cannot be
// brought back it ends.
//
// It is not the process's first thread, whose namespace is told as that of the
// process, and which does not end while the process lives.
func visit(enter, do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			err = visit(enter, do) // on another one, while this is kept
			goruntime.UnlockOSThread()
			return
		}
		home, herr := os.Open(currentNamespace)
		if herr != nil {
			goruntime.UnlockOSThread()
			err = herr
			return
		}
		defer home.Close()
		if err = enter(); err == nil {
			err = do()
		}
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			goruntime.UnlockOSThread()
		}
	}()
	<-done
	return err
}

// pathOf returns where other processes find what a descriptor of this one is
// about. Of one that is closed it is the path of nothing.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
