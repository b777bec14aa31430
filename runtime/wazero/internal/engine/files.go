package engine

import (
	"github.com/tetratelabs/wazero"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// moduleConfig returns the settings of an instance.
func (e *Engine) moduleConfig() (wazero.ModuleConfig, error) {
	if e.opts.Dir == "" {
		return bareConfig, nil
	}
	if err := enginehost.CheckDir(e.opts.Dir); err != nil {
		return nil, err
	}
	files := wazero.NewFSConfig().(sysfs.FSConfig)
	return bareConfig.WithFSConfig(files.WithSysFSMount(noLinks{sysfs.DirFS(e.opts.Dir)}, "/")), nil
}

// noLinks is a directory in which guests make no symbolic links. wazero refuses
// a name that leads out of the directory but leaves links to the kernel, which
// follows them anywhere: a guest that could make one would have all files that
// this process may open.
type noLinks struct{ experimentalsys.FS }

// Symlink refuses.
func (noLinks) Symlink(string, string) experimentalsys.Errno { return experimentalsys.EPERM }
