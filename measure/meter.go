package measure

import (
	"context"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A Meter reads what the processes of a scope have used. A process that has
// ended meanwhile is an error that names it.
type Meter interface {
	Read(context.Context, runtime.Scope) (Usage, error)
}

// Usage is a reading of a meter. What a meter does not read is 0.
type Usage struct {
	CPU       time.Duration // user and system time of the own processes since they began
	User      time.Duration // the part of CPU in user mode, as far as the kernel can tell: see CPU, the meter
	ShimCPU   time.Duration // of the scope's shim; in CPU or in SharedCPU too, for it is an own or a shared process
	SharedCPU time.Duration // of the shared processes that are not own ones too
	Own       Footprint     // of the own processes
	Shared    Footprint     // of the shared processes that are not own ones too
	Cgroup    CgroupUsage   // of the scope's cgroup, 0 where it has none

	ticked split // of the own processes
}
