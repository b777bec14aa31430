package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/prometheus/procfs"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// Footprint is what processes have in memory, in bytes. What is swapped out is
// not in it, nor what the kernel keeps for them: see CgroupUsage and HostMemory.
// Processes that are named twice count once.
//
// The kernel does not divide pages of the hugetlb pool among the processes that
// map them: each has them in full, as private ones.
type Footprint struct {
	PSS     int64 // resident pages, each divided by how many processes of the host map it
	RSS     int64 // resident pages, each in full for every process that maps it
	VMS     int64 // addresses taken, resident or not
	Shared  int64 // the part of RSS that other processes map too, in the scope or not
	Private int64 // the part of RSS that one process alone maps
}

// Memory reads what the own and the shared processes have in memory. A reading
// walks the page tables of each process, which takes a tenth of a millisecond for a
// small one, 0.6 ms for an engine of 15 MB and up to 10 µs more for each instance
// that is embedded in it. Processes are read one after the other, not at one moment.
//
// The error about a process that has ended wraps os.ErrNotExist, or unix.ESRCH until
// its parent has waited for it. Processes of other users need root: without it the
// error is an *runtime.Unavailable.
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
			if errors.Is(err, fs.ErrPermission) {
				err = &runtime.Unavailable{What: "memory", Why: "the process is another user's", Fix: "run as root", Err: err}
			}
			if err != nil {
				return Usage{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
			}
			group.sum.add(f)
		}
	}
	return u, nil
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
	}, nil
}

func (f *Footprint) add(g Footprint) {
	f.PSS += g.PSS
	f.RSS += g.RSS
	f.VMS += g.VMS
	f.Shared += g.Shared
	f.Private += g.Private
}
