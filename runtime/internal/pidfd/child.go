package pidfd

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// OnEnd calls do, in a goroutine of its own, when a child of this process has
// ended. The child is still to be reaped then, and until it is nobody else can
// have its number.
//
// Until then it costs neither a thread nor a goroutine, and no file but the
// handle that the child has already: what many children cost the harness is
// their pipes. Where no handles are to be had it costs a thread.
func OnEnd(child *os.Process, do func()) { onEnd(children, child, do) }

func onEnd(watch func() (*watcher, error), child *os.Process, do func()) {
	w, err := watch()
	if err == nil {
		err = w.add(child, do)
	}
	if err != nil {
		go await(int32(child.Pid), do)
	}
}

// await waits for the end of a child in a thread and then calls do.
func await(number int32, do func()) {
	for unix.Waitid(unix.P_PID, int(number), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	do()
}

// A watcher waits for the ends of children by an epoll instance of its own, for
// which Go's poller waits as it does for other files. To Go's poller alone a
// handle could only be given as a second one.
type watcher struct {
	file *os.File
	conn syscall.RawConn

	mu    sync.Mutex
	onEnd map[int32]func() // by the child's number
	err   error            // why nobody is watched any more
}

// children is the watcher of all children.
var children = sync.OnceValues(newWatcher)

func newWatcher() (*watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	w := &watcher{file: os.NewFile(uintptr(fd), "children"), onEnd: map[int32]func(){}}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	go w.watch()
	return w, nil
}

// add has do called. The kernel forgets a child when its handle is closed.
func (w *watcher) add(child *os.Process, do func()) error {
	number := int32(child.Pid)
	w.mu.Lock()
	err := w.err
	if err == nil {
		w.onEnd[number] = do
	}
	w.mu.Unlock()
	if err != nil {
		return err
	}
	herr := child.WithHandle(func(handle uintptr) {
		cerr := w.conn.Control(func(epoll uintptr) {
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(handle), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: number})
		})
		err = errors.Join(err, cerr)
	})
	if err := errors.Join(herr, err); err != nil && w.take(number) != nil {
		return err
	}
	return nil // or another waits for it already
}

// watch calls what is to be called for as long as this process lives, or hands
// its children over when it cannot wait any longer.
func (w *watcher) watch() {
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		var err error
		cerr := w.conn.Read(func(epoll uintptr) bool {
			n, err = unix.EpollWait(int(epoll), events, 0)
			return n != 0 // -1 if a signal has come between
		})
		if err == unix.EINTR {
			err = nil
		}
		if err := errors.Join(cerr, err); err != nil {
			w.handOver(err)
			return
		}
		for _, e := range events[:max(n, 0)] {
			if do := w.take(e.Fd); do != nil {
				go do()
			}
		}
	}
}

// handOver has the children that are left waited for by a thread each, as all
// that come later are.
func (w *watcher) handOver(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	for number, do := range w.onEnd {
		go await(number, do)
	}
	clear(w.onEnd)
}

// take returns what is to be called for a child and forgets it.
func (w *watcher) take(number int32) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	do := w.onEnd[number]
	delete(w.onEnd, number)
	return do
}
