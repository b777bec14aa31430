package measure

import "github.com/moby/sys/mountinfo"

// CgroupMount returns where the memory controller is mounted and of which
// version its hierarchy is.
func CgroupMount() (mount string, version int, err error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return "", 0, err
	}
	return CgroupMountOf(mounts)
}

// CgroupMountOf is CgroupMount for other mounts than the host's.
func CgroupMountOf(mounts []*mountinfo.Info) (mount string, version int, err error) {
	h, err := memoryHierarchy(mounts)
	return h.mount, h.version, err
}

// CgroupDirs returns the directories of a cgroup and of those above it, where a
// hierarchy's cgroup root is mounted.
func CgroupDirs(mount, root, cgroup string) []string {
	return hierarchy{mount: mount, root: root}.upwards(cgroup)
}

// ReadCgroup reads a cgroup below a mount other than the host's.
func ReadCgroup(mount string, version int, cgroup string) (CgroupUsage, error) {
	return hierarchy{mount: mount, root: "/", version: version}.memory(cgroup)
}
