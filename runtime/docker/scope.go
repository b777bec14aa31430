package docker

import (
	"cmp"
	"context"
	"net"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/client"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir"
)

// cgroupParent is the cgroup of all containers of a run.
func cgroupParent(dir *rundir.Dir) string { return path.Dir(dir.Cgroup("any")) }

// Scope names the guest's process and its shim, which is its parent unless it
// has died, and, as shared, the daemon and the containerd below it. Where one of
// guest and shim cannot be found out Own is empty, for the other alone would pass
// for the whole.
func (g *guest) Scope() runtime.Scope {
	if g.pid == 0 {
		g.identify()
	}
	var s runtime.Scope
	if p, err := procfs.NewProc(g.pid); err == nil && g.pid != 0 {
		s.Cgroup = cgroupOf(p, g.id)
		shim, err := shimOf(p)
		if err == nil {
			g.shim = shim
		}
		if s.Cgroup != "" && (err == nil || g.shim != 0) {
			s.Own = append(s.Own, g.pid)
			if s.Shim = g.shim; s.Shim != 0 {
				s.Own = append(s.Own, s.Shim)
			}
		}
	}
	s.Shared = g.image.link.sharedProcesses(s.Shim)
	return s
}

// identify asks the daemon for the guest's process.
func (g *guest) identify() {
	ctx, cancel := context.WithTimeout(context.Background(), pingTime)
	defer cancel()
	has, err := g.client().ContainerInspect(ctx, g.name, client.ContainerInspectOptions{})
	if err == nil && has.Container.State != nil {
		g.pid, g.id, g.shim = has.Container.State.Pid, has.Container.ID, 0
	}
}

// shimOf returns the shim that is the parent of a process, or 0 where that has
// died.
func shimOf(p procfs.Proc) (int, error) {
	stat, err := p.Stat()
	if err != nil {
		return 0, err
	}
	parent, err := procfs.NewProc(stat.PPID)
	if err != nil {
		return 0, err
	}
	name, err := parent.Comm()
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(name, "containerd-shim") { // who takes in the children of one that has died
		return 0, nil
	}
	return stat.PPID, nil
}

// cgroupOf returns the cgroup of a container's process, which has one path in
// all hierarchies that it has one in, or "" where the process is another's: a
// daemon in a PID namespace of its own counts otherwise than this process.
func cgroupOf(p procfs.Proc, container string) string {
	groups, err := p.Cgroups()
	if err != nil {
		return ""
	}
	for _, g := range groups {
		if container != "" && strings.Contains(g.Path, container) {
			return g.Path
		}
	}
	return ""
}

// processes remembers the processes of a daemon.
type processes struct {
	mu   sync.Mutex
	pids []int
}

// sharedProcesses returns the processes that serve all containers. Those of a
// daemon that is not ours are found by way of a container's shim.
func (l *link) sharedProcesses(shim int) []int {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	switch {
	case len(l.shared.pids) > 0:
	case l.private != nil:
		for _, d := range l.private.daemons() {
			l.shared.pids = append(l.shared.pids, d.process.Pid)
		}
	case shim != 0:
		dockerd, containerd := dockerdAt(l.host), containerdOf(shim)
		pids := slices.DeleteFunc([]int{dockerd, containerd}, func(pid int) bool { return pid == 0 })
		if len(pids) < 2 {
			return pids // the other is looked for again
		}
		l.shared.pids = slices.Compact(pids)
	}
	return slices.Clone(l.shared.pids)
}

// dockerdAt returns the dockerd that listens at host, or 0. The listener may be
// somebody who listens for it, such as systemd: then it is the only dockerd.
func dockerdAt(host string) int {
	isDockerd := func(p procfs.Proc) bool {
		name, err := p.Comm()
		return err == nil && name == "dockerd"
	}
	if u, err := client.ParseHostURL(host); err == nil && u.Scheme == "unix" {
		if p, err := procfs.NewProc(listener(cmp.Or(u.Host, u.Path))); err == nil && isDockerd(p) {
			return p.PID
		}
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return 0
	}
	if all = slices.DeleteFunc(all, func(p procfs.Proc) bool { return !isDockerd(p) }); len(all) == 1 {
		return all[0].PID
	}
	return 0
}

// containerdOf returns the containerd whose socket a shim was told, or 0.
func containerdOf(shim int) int {
	p, err := procfs.NewProc(shim)
	if err != nil {
		return 0
	}
	args, err := p.CmdLine()
	if err != nil {
		return 0
	}
	if i := slices.Index(args, "-address"); i >= 0 && i+1 < len(args) {
		return listener(args[i+1])
	}
	return 0
}

// listener returns the process that listens at a socket, or 0.
func listener(socket string) int {
	conn, err := net.DialTimeout("unix", socket, dialTime)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}
