package docker

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/osthread"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/bridge"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// A container is not asked where another, or nobody, would answer.
func TestReaches(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("networks are made by root only: run as root")
	}
	n, err := bridge.New()
	rundirtest.Require(t, "bridge", err)
	defer n.Close()
	l := &link{host: "unix:///the/socket"}
	add := func(name, address string) error { return addDevice(name, netip.MustParsePrefix(address)) }
	err = osthread.InNetwork(n.Path(), func() error {
		if err := l.reaches("wb-none"); !errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), l.host) {
			t.Errorf("without the device: error %v, want an *Unavailable with the daemon", err)
		}
		if err := errors.Join(add("wb-one", "172.17.0.1/16"), add("other", "172.18.0.1/16")); err != nil {
			return err
		}
		if err := l.reaches("wb-one"); err != nil {
			t.Errorf("beside another network: %v", err)
		}
		if err := add("wb-two", "172.17.3.1/24"); err != nil {
			return err
		}
		if err := l.reaches("wb-one"); !errors.Is(err, errTaken) || !strings.Contains(err.Error(), "wb-two") || !strings.Contains(err.Error(), "172.17.3.0/24") {
			t.Errorf("error %v, want one with the other device and its network", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
