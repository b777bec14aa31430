package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Footprint is what processes have in memory, in bytes. What the kernel keeps for
// them is not in it: see CgroupUsage and HostMemory. Processes that are named twice
// count once.
//
// The kernel does not divide pages of the hugetlb pool among the processes that
// map them: each has them in full, as private ones.
type Footprint struct {
	PSS     int64 // resident pages, each divided by how many processes of the host map it
	RSS     int64 // resident pages, each in full for every process that maps it
	VMS     int64 // addresses taken, resident or not
	Shared  int64 // the part of RSS that other processes map too, in the scope or not
	Private int64 // the part of RSS that one process alone maps
	Swap    int64 // anonymous pages that are swapped out, each divided as in PSS; in none of the others
}

// Total is PSS and Swap: what the processes would have in memory if nothing were
// swapped out.
func (f Footprint) Total() int64 { return f.PSS + f.Swap }

// Memory reads what the own and the shared processes have in memory. A reading
// walks the page tables of each process, which takes a tenth of a millisecond for a
// small one, 0.6 ms for an engine of 15 MB and up to 10 µs more for each instance
// that is embedded in it. Processes are read one after the other, not at one moment.
//
// The error about a process that has ended wraps os.ErrNotExist, or unix.ESRCH until
// its parent has waited for it. Where the kernel refuses to tell, as of a process of
// another user unless root asks, the error is an *runtime.Unavailable.
var Memory Meter = memoryMeter{}

type memoryMeter struct{}

func (memoryMeter) Read(ctx context.Context, s runtime.Scope) (Usage, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return Usage{}, fmt.Errorf("reading the memory of processes: %w", err)
	}
	var u Usage
	seen := make(map[int]bool, len(s.Own)+len(s.Shared))
	for _, group := range []struct {
		pids []int
		sum  *Footprint
	}{{s.Own, &u.Own}, {s.Shared, &u.Shared}} {
		for _, pid := range group.pids {
			if ctx.Err() != nil {
				return Usage{}, context.Cause(ctx)
			}
			if seen[pid] {
				continue
			}
			seen[pid] = true
			f, err := footprintOf(proc, pid)
			if err != nil {
				return Usage{}, fmt.Errorf("reading the memory of process %d: %w", pid, refused(err))
			}
			group.sum.add(f)
		}
	}
	return u, nil
}

// refused makes of an error about a file that may not be read an
// *runtime.Unavailable that names it.
func refused(err error) error {
	var file *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &file) {
		return err
	}
	return &runtime.Unavailable{What: "memory", Why: file.Path + " may not be read", Fix: "run as root, with the capabilities SYS_PTRACE and SYS_ADMIN in a container", Err: file.Err}
}

func footprintOf(proc procfs.FS, pid int) (Footprint, error) {
	p, err := proc.Proc(pid)
	if err != nil {
		return Footprint{}, err
	}
	pages, err := p.ProcSMapsRollup()
	if err != nil {
		return Footprint{}, err
	}
	status, err := p.NewStatus()
	if err != nil {
		return Footprint{}, err
	}
	huge := int64(status.HugetlbPages) // in VmSize, but in none of the others
	return Footprint{
		PSS:     int64(pages.Pss) + huge,
		RSS:     int64(pages.Rss) + huge,
		VMS:     int64(status.VmSize),
		Shared:  int64(pages.SharedClean + pages.SharedDirty),
		Private: int64(pages.PrivateClean+pages.PrivateDirty) + huge,
		Swap:    int64(pages.SwapPss),
	}, nil
}

func (f *Footprint) add(g Footprint) {
	f.PSS += g.PSS
	f.RSS += g.RSS
	f.VMS += g.VMS
	f.Shared += g.Shared
	f.Private += g.Private
	f.Swap += g.Swap
}
