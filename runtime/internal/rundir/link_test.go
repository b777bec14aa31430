package rundir

import (
	"errors"
	"os"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// elsewhere has the test in a network of its own until it ends.
func elsewhere(t *testing.T) {
	t.Helper()
	goruntime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if goruntime.UnlockOSThread(); errors.Is(err, unix.EPERM) {
			t.Skip("no network namespace is to be had here: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return // with the thread locked, which ends with the test
		}
		home.Close()
		goruntime.UnlockOSThread()
	})
}

func addLink(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		t.Fatal(err)
	}
}

// wantLinks wants those bridges and no others.
func wantLinks(t *testing.T, names ...string) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range links {
		if l.Type() == "bridge" {
			got = append(got, l.Attrs().Name)
		}
	}
	if slices.Sort(got); !slices.Equal(got, names) {
		t.Errorf("the devices are %q, want %q", got, names)
	}
}

// A run's device goes when the run does, also when that had been killed and its
// directory is gone; those of others stay. What is called as one that a run has
// not noted is not looked for.
func TestLinks(t *testing.T) {
	apart(t)
	elsewhere(t)
	lost := short(t)
	victim, dead := held(t)
	if err := errors.Join(victim.Process.Kill(), os.RemoveAll(lost), os.Mkdir(lost, 0o700)); err != nil {
		t.Fatal(err)
	}
	victim.Wait()
	_, live := held(t)
	short(t) // from here on
	d, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	name, err := d.UseLink()
	if err != nil || name != linkOf(d.ID()) {
		t.Fatalf("the device is to be %q, %v", name, err)
	}
	without, err := Make()
	if err != nil {
		t.Fatal(err)
	}
	addLink(t, "wb-other")
	addLink(t, linkOf(without.ID()))
	addLink(t, linkOf(dead))
	addLink(t, linkOf(live))
	addLink(t, name)
	if err := errors.Join(d.Close(), without.Close()); err != nil {
		t.Error(err)
	}
	kept := []string{linkOf(live), linkOf(without.ID()), "wb-other"}
	slices.Sort(kept)
	withDead := append(slices.Clone(kept), linkOf(dead))
	slices.Sort(withDead)
	wantLinks(t, withDead...)
	if err := Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	wantLinks(t, kept...)
}
