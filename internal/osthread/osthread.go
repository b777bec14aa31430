// Package osthread calls functions on threads that are changed for them: taken to
// another network, say, or to other processors.
package osthread

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Change changes the calling thread and returns what undoes it. Where it fails
// the thread is as before.
type Change func() (undo func() error, err error)

// Do calls f on a thread with some changes, made in turn, and returns what f does,
// or why f was not called. The thread is then as before and lives on, since
// processes that it has started may be bound to its life. Where it cannot be set
// back the error says so, and the thread ends without another goroutine on it.
//
// It is never the first thread of the process: /proc shows its state as that of the
// process, and it does not end when a goroutine does that is locked to it but stays,
// changed, for good.
func Do(f func() error, changes ...Change) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- Do(f, changes...) // on another thread, for this one is taken
			runtime.UnlockOSThread()
			return
		}
		var undo []func() error
		err := errExited
		defer func() {
			if uerr := undone(undo); uerr != nil {
				err = errors.Join(err, fmt.Errorf("setting a thread back: %w", uerr))
			} else {
				runtime.UnlockOSThread()
			}
			done <- err
		}()
		for _, change := range changes {
			u, cerr := change()
			if cerr != nil {
				err = cerr
				return
			}
			undo = append(undo, u)
		}
		err = f()
	}()
	return <-done
}

var errExited = errors.New("the function ended its goroutine rather than return")

// undone undoes changes, the last first.
func undone(changes []func() error) (err error) {
	for i := len(changes) - 1; i >= 0; i-- {
		err = errors.Join(err, changes[i]())
	}
	return err
}

// InNetwork is Do in the network namespace at a path. Where that is "" it calls f
// and does nothing else.
func InNetwork(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return Do(f, Network(path))
}

// current is the network namespace of the calling thread.
const current = "/proc/thread-self/ns/net"

// Network takes a thread into the network namespace at a path.
func Network(path string) Change {
	return func() (undo func() error, err error) {
		home, err := os.Open(current)
		if err != nil {
			return nil, fmt.Errorf("the network of this thread: %w", err)
		}
		if err := enter(path); err != nil {
			home.Close()
			return nil, fmt.Errorf("entering the network namespace %s: %w", path, err)
		}
		return func() error {
			defer home.Close()
			return os.NewSyscallError("setns", unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
		}, nil
	}
}

func enter(path string) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	return os.NewSyscallError("setns", unix.Setns(int(there.Fd()), unix.CLONE_NEWNET))
}
