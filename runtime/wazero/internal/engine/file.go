package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"golang.org/x/sys/unix"
)

// An opening is one file, which wazero's adapter of package fs opens: that has
// all of a file but what changes it other than by writing.
type opening struct {
	root   *os.Root
	path   string
	flag   int
	perm   fs.FileMode
	opened *os.File // the latest: a directory is opened again to be read again
}

// Open opens the file; the adapter's name for it is the same.
func (o *opening) Open(string) (fs.File, error) {
	f, err := o.root.OpenFile(o.path, o.flag, o.perm)
	if err != nil {
		return nil, errno(err)
	}
	o.opened = f
	return f, nil
}

// A file is what the adapter has of one, and the rest.
type file struct {
	experimentalsys.File
	*opening
	appends bool
}

func (f *file) IsAppend() bool { return f.appends }

func (f *file) SetAppend(enable bool) experimentalsys.Errno {
	flags, err := unix.FcntlInt(f.opened.Fd(), unix.F_GETFL, 0)
	if err == nil {
		flags &^= unix.O_APPEND
		if enable {
			flags |= unix.O_APPEND
		}
		_, err = unix.FcntlInt(f.opened.Fd(), unix.F_SETFL, flags)
	}
	if err == nil {
		f.appends = enable
	}
	return errno(err)
}

func (f *file) Truncate(size int64) experimentalsys.Errno { return errno(f.opened.Truncate(size)) }
func (f *file) Sync() experimentalsys.Errno               { return errno(f.opened.Sync()) }
func (f *file) Datasync() experimentalsys.Errno {
	return errno(unix.Fdatasync(int(f.opened.Fd())))
}

func (f *file) Utimens(atime, mtime int64) experimentalsys.Errno {
	return errno(os.Chtimes(fmt.Sprintf("/proc/self/fd/%d", f.opened.Fd()), stamp(atime), stamp(mtime)))
}

// hostFlag returns the flags of open(2).
func hostFlag(flag experimentalsys.Oflag) (host int) {
	for _, f := range [...]struct {
		guest experimentalsys.Oflag
		host  int
	}{
		{experimentalsys.O_RDWR, os.O_RDWR}, {experimentalsys.O_WRONLY, os.O_WRONLY},
		{experimentalsys.O_APPEND, os.O_APPEND}, {experimentalsys.O_CREAT, os.O_CREATE},
		{experimentalsys.O_EXCL, os.O_EXCL}, {experimentalsys.O_TRUNC, os.O_TRUNC},
		{experimentalsys.O_SYNC, os.O_SYNC}, {experimentalsys.O_DSYNC, unix.O_DSYNC}, {experimentalsys.O_RSYNC, unix.O_RSYNC},
		{experimentalsys.O_DIRECTORY, unix.O_DIRECTORY}, {experimentalsys.O_NONBLOCK, unix.O_NONBLOCK},
	} {
		if flag&f.guest != 0 {
			host |= f.host
		}
	}
	return host
}

// stamp returns the time of a time stamp, in nanoseconds, or the zero time for
// one that is to stay.
func stamp(ns int64) time.Time {
	if ns == experimentalsys.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// errno returns wazero's form of an error. What is not of the kernel is os.Root's
// word for a name that leads out.
func errno(err error) experimentalsys.Errno {
	failed := experimentalsys.UnwrapOSError(err)
	if failed == experimentalsys.EIO && !errors.As(err, new(syscall.Errno)) {
		return experimentalsys.EPERM
	}
	return failed
}
