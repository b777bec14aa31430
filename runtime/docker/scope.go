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
// has died, and, as shared, the daemon and the containerd below it. What cannot
// be found out, or has ended, is left out.
func (g *guest) Scope() runtime.Scope {
	if g.pid == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), dialTime)
		defer cancel()
		if has, err := g.client().ContainerInspect(ctx, g.name, client.ContainerInspectOptions{}); err == nil && has.Container.State != nil {
			g.pid, g.id = has.Container.State.Pid, has.Container.ID
		}
	}
	var s runtime.Scope
	if p, err := procfs.NewProc(g.pid); err == nil && g.pid != 0 {
		s.Cgroup = cgroupOf(p, g.id)
		if stat, err := p.Stat(); err == nil && s.Cgroup != "" {
			s.Own = append(s.Own, g.pid)
			if isShim(stat.PPID) {
				s.Shim = stat.PPID
				s.Own = append(s.Own, s.Shim)
			}
		}
	}
	s.Shared = g.image.link.sharedProcesses(s.Shim)
	return s
}

// isShim tells a shim from who takes in the children of one that has died.
func isShim(pid int) bool {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return false
	}
	name, err := p.Comm()
	return err == nil && strings.HasPrefix(name, "containerd-shim")
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
		for _, pid := range []int{dockerdAt(l.host), containerdOf(shim)} {
			if pid != 0 && !slices.Contains(l.shared.pids, pid) {
				l.shared.pids = append(l.shared.pids, pid)
			}
		}
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
