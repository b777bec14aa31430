package oci

import (
	"context"
	"os"
	"path/filepath"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// ModuleEntrypoint is the path of the guest in the image of a module. A shim of
// runwasi takes what is there for a module by its first bytes.
const ModuleEntrypoint = "/guest.wasm"

// PackModule makes an image of a WASI module and of nothing else. Its platform
// is that of the host, not wasi/wasm, because its only layer is a tree and not
// the module itself; a shim that finds it so compiles the module at each start.
func PackModule(ctx context.Context, module string) (*Image, error) {
	b, err := os.ReadFile(module)
	if err != nil {
		return nil, err
	}
	root, err := cache.Make(ctx, "rootfs", cache.Key("module", string(b)), func(dir string) error {
		for _, d := range []string{"dev", "proc", "sys", "tmp"} {
			if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
				return err
			}
		}
		return os.WriteFile(filepath.Join(dir, ModuleEntrypoint), b, 0o755)
	})
	if err != nil {
		return nil, err
	}
	return pack(ctx, ModuleEntrypoint, []string{root})
}
