package measure

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

const dropCaches = "/proc/sys/vm/drop_caches"

// PageCacheDroppable returns an *runtime.Unavailable where this process may not
// drop the page cache, and drops nothing.
func PageCacheDroppable() error {
	f, err := os.OpenFile(dropCaches, os.O_WRONLY, 0)
	if err != nil {
		return &runtime.Unavailable{What: "cache=cold", Why: "the page cache cannot be dropped", Fix: "run as root, outside a container that mounts /proc/sys read-only", Err: err}
	}
	return f.Close()
}

// DropPageCache writes dirty pages to disk and drops the clean ones, directory
// entries and inodes of the whole host, so that the next start reads from disk.
// Pages that a process has mapped stay. It needs root.
func DropPageCache(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	unix.Sync()
	if err := os.WriteFile(dropCaches, []byte("3"), 0); err != nil {
		return &runtime.Unavailable{What: "cache=cold", Why: "the page cache cannot be dropped", Fix: "run as root", Err: err}
	}
	return nil
}
