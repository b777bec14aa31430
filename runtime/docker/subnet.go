package docker

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
)

// subnets are the addresses of runs' bridges: those for benchmarks, RFC 2544. A
// run has a subnet of them, which has more addresses than a bridge takes
// containers.
var subnets = netip.MustParsePrefix("198.18.0.0/15")

const (
	subnetBits  = 21
	subnetTries = 5 // of the same host's runs several may choose at the same time
)

// freeSubnets returns those that no device here has, in an order which is that
// run's. A daemon of the run's own does not know what others have given away.
func freeSubnets(id string) (free []netip.Prefix, err error) {
	devices, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var taken []netip.Prefix
	for _, d := range devices {
		if all, err := prefixes(&d); err == nil { // else it has just gone
			taken = append(taken, all...)
		}
	}
	seed := fnv.New64a()
	seed.Write([]byte(id))
	first := subnets.Addr().As4()
	for _, n := range rand.New(rand.NewPCG(seed.Sum64(), 0)).Perm(1 << (subnetBits - subnets.Bits())) {
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(first[:])+uint32(n)<<(32-subnetBits))
		if p := netip.PrefixFrom(netip.AddrFrom4(ip), subnetBits); !slices.ContainsFunc(taken, p.Overlaps) {
			free = append(free, p)
		}
	}
	if len(free) == 0 {
		return nil, unavailable(fmt.Sprintf("network devices here have all of the addresses %s for bridges", subnets), "take some of them away", nil)
	}
	return free, nil
}

// gatewayOf returns the address of the bridge itself.
func gatewayOf(subnet netip.Prefix) netip.Addr { return subnet.Addr().Next() }

// take returns an address for a container. It is the one after the last, not one
// that has just become free, for which the host may still remember a device.
func (b *runBridge) take() (netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range len(b.taken) + 1 {
		b.last = b.last.Next()
		if !b.subnet.Contains(b.last.Next()) { // it is for broadcasts
			b.last = gatewayOf(b.subnet).Next()
		}
		if !b.taken[b.last] {
			b.taken[b.last] = true
			return b.last, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the bridge %s has no address left, %d containers have one", b.name, len(b.taken))
}

func (b *runBridge) giveBack(ip netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.taken, ip)
}
