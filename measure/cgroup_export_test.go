package measure

import "github.com/moby/sys/mountinfo"

// CgroupMount returns where the memory controller is mounted and of which
// version its hierarchy is.
func CgroupMount() (mount string, version int, err error) {
	c, err := hostMemoryController()
	return c.mount, c.version, err
}

// CgroupMountOf is CgroupMount for other mounts than the host's.
func CgroupMountOf(mounts []*mountinfo.Info) (mount string, version int, err error) {
	c, err := memoryControllerOf(mounts)
	return c.mount, c.version, err
}

// ReadCgroup reads a cgroup below a mount other than the host's.
func ReadCgroup(mount string, version int, cgroup string) (CgroupUsage, error) {
	return memoryController{mount, version}.read(cgroup)
}
