package measure

import (
	"maps"
	"slices"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

// A union is the scopes of many instances as one. It is as large as there are
// processes, not instances.
type union struct {
	own    map[int]int // of how many instances a process is
	shared map[int]struct{}
	shim   int
	cgroup string
	some   bool
}

func newUnion() union { return union{own: map[int]int{}, shared: map[int]struct{}{}} }

// add takes in the scope of another instance and returns the processes that are
// known by it to serve several instances.
func (u *union) add(s runtime.Scope) (common []int) {
	for _, pid := range s.Own {
		if u.own[pid]++; u.own[pid] == 2 {
			common = append(common, pid)
		}
	}
	for _, pid := range s.Shared {
		if _, known := u.shared[pid]; !known {
			u.shared[pid] = struct{}{}
			common = append(common, pid)
		}
	}
	if !u.some {
		u.shim, u.cgroup, u.some = s.Shim, s.Cgroup, true
	}
	if u.shim != s.Shim {
		u.shim = 0
	}
	if u.cgroup != s.Cgroup {
		u.cgroup = ""
	}
	return common
}

func (u *union) scope() runtime.Scope {
	s := runtime.Scope{Own: slices.Sorted(maps.Keys(u.own)), Shim: u.shim, Cgroup: u.cgroup}
	for _, pid := range slices.Sorted(maps.Keys(u.shared)) {
		if _, own := u.own[pid]; !own {
			s.Shared = append(s.Shared, pid)
		}
	}
	return s
}
