//go:build cgo && wasmedge

package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
)

// room is the memory that this process may take beside its guests', in bytes.
const room = 512 << 20

var _ enginehost.Limiter = (*Engine)(nil)

// Limit bounds the memory of this process where it interprets, because the
// interpreter's stack has no limit of its own: a guest that recurses for ever
// ends its process rather than fill the host. There is room for as many
// instances of MaxMemory, but never for more than half of what the host has.
func (e *Engine) Limit(instances int) error {
	if !e.opts.Interpreter {
		return nil
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		return fmt.Errorf("reading how much memory the host has: %w", err)
	}
	most := uint64(host.Totalram) * uint64(host.Unit) / 2
	if n := uint64(instances); most > room && n <= (most-room)/e.opts.MaxMemory {
		most = n*e.opts.MaxMemory + room
	}
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("limiting the memory of the interpreter's process: %w", err)
	}
	return nil
}
