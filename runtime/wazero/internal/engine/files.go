package engine

import (
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/hostdir"
)

// files opens dir for one instance and returns its settings. The directory is
// open until the caller closes root, which is nil where dir is "".
func files(dir string) (config wazero.ModuleConfig, root *os.Root, err error) {
	if dir == "" {
		return bareConfig, nil, nil
	}
	if root, err = hostdir.Open(dir); err != nil {
		return nil, nil, err
	}
	mounts := wazero.NewFSConfig().(sysfs.FSConfig)
	return bareConfig.WithFSConfig(mounts.WithSysFSMount(beneath{root: root}, "/")), root, nil
}

// closeDir closes what files returned.
func closeDir(root *os.Root) error {
	if root == nil {
		return nil
	}
	return root.Close()
}

// beneath is a directory out of which no name leads. wazero's own refuses the
// names that do but leaves links to the kernel, which follows them anywhere: a
// guest could make one, or move one that stays within the directory to where it
// does not, and would have all files that this process may open.
type beneath struct {
	experimentalsys.UnimplementedFS // of what WASI has no function for
	root                            *os.Root
}

func (b beneath) OpenFile(path string, flag experimentalsys.Oflag, perm fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	if flag&experimentalsys.O_NOFOLLOW != 0 { // os.Root follows nevertheless
		if info, err := b.root.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, experimentalsys.ELOOP
		}
	}
	o := &opening{root: b.root, path: path, flag: hostFlag(flag), perm: perm.Perm()}
	adapted, failed := (&sysfs.AdaptFS{FS: o}).OpenFile(path, flag, perm)
	if failed != 0 {
		return nil, failed
	}
	return &file{File: adapted, opening: o, appends: flag&experimentalsys.O_APPEND != 0}, 0
}

func (b beneath) Lstat(path string) (sys.Stat_t, experimentalsys.Errno) {
	return stat(b.root.Lstat(path))
}
func (b beneath) Stat(path string) (sys.Stat_t, experimentalsys.Errno) {
	return stat(b.root.Stat(path))
}

func (b beneath) Mkdir(path string, perm fs.FileMode) experimentalsys.Errno {
	return errno(b.root.Mkdir(path, perm.Perm()))
}

func (b beneath) Rename(from, to string) experimentalsys.Errno { return errno(b.root.Rename(from, to)) }

// Rmdir and Unlink are one function of os.Root.

func (b beneath) Rmdir(path string) experimentalsys.Errno {
	return b.remove(path, true, experimentalsys.ENOTDIR)
}

func (b beneath) Unlink(path string) experimentalsys.Errno {
	return b.remove(path, false, experimentalsys.EISDIR)
}

func (b beneath) remove(path string, dir bool, other experimentalsys.Errno) experimentalsys.Errno {
	info, err := b.root.Lstat(path)
	if err == nil && info.IsDir() != dir {
		return other
	}
	if err == nil {
		err = b.root.Remove(path)
	}
	return errno(err)
}

func (b beneath) Link(from, to string) experimentalsys.Errno { return errno(b.root.Link(from, to)) }

// Symlink refuses an absolute target, as other engines do.
func (b beneath) Symlink(target, path string) experimentalsys.Errno {
	if len(target) > 0 && target[0] == '/' {
		return experimentalsys.EPERM
	}
	return errno(b.root.Symlink(target, path))
}

func (b beneath) Readlink(path string) (string, experimentalsys.Errno) {
	target, err := b.root.Readlink(path)
	return target, errno(err)
}

func (b beneath) Utimens(path string, atime, mtime int64) experimentalsys.Errno {
	return errno(b.root.Chtimes(path, stamp(atime), stamp(mtime)))
}

func stat(info fs.FileInfo, err error) (sys.Stat_t, experimentalsys.Errno) {
	if err != nil {
		return sys.Stat_t{}, errno(err)
	}
	return sys.NewStat_t(info), 0
}
