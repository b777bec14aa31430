package load

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Plan is how a scenario is run. The zero value of a field is its default.
type Plan struct {
	Addresses []string `json:"addresses"` // of the services, a host and a port each, over which users are spread in turn
	// Network is the path of the network namespace from which they are reached; ""
	// is that of the caller. In another, hosts are IP addresses without a zone.
	Network string `json:"network,omitempty"`

	Connections int     `json:"connections"`    // users; 1 by default
	Pipelining  int     `json:"pipelining"`     // requests of a user under way at most; 1 by default
	Rate        float64 `json:"rate,omitempty"` // requests a second of an open loop, of all users together; 0 is a closed loop

	Warmup   time.Duration `json:"warmup"`   // before what counts
	Duration time.Duration `json:"duration"` // of what counts; 1 s by default
	// Timeout is after which a request that was sent has failed, and what is
	// waited for after the end; 10 s by default.
	Timeout time.Duration `json:"timeout"`

	Sample int   `json:"sample"`         // of how many responses the content of one is checked in full; 16 by default, 1 is each
	CPUs   []int `json:"cpus,omitempty"` // processors on which the generator runs; nil is all that it may
	// Threads make the load, no more of them than users. By default there is one
	// for each of CPUs, or where that is nil one for each two processors: the
	// service needs the others.
	Threads int `json:"threads,omitempty"`
}

// A PlanError says what of a plan makes no sense.
type PlanError struct {
	Field string // of Plan
	Why   string
	Err   error // the cause, if there is one
}

func (e *PlanError) Error() string {
	s := "load: plan: " + e.Field + ": " + e.Why
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *PlanError) Unwrap() error { return e.Err }

// A settled plan has its defaults and its addresses as the kernel takes them.
type settled struct {
	Plan
	targets []target
}

// A target is one of the addresses.
type target struct {
	host   string // as requests name it
	family int
	addr   unix.Sockaddr
}

// settle fills in the defaults, or returns a *PlanError.
func (p Plan) settle(ctx context.Context) (*settled, error) {
	p.Connections = cmp.Or(p.Connections, 1)
	p.Pipelining = cmp.Or(p.Pipelining, 1)
	p.Sample = cmp.Or(p.Sample, 16)
	p.Duration = cmp.Or(p.Duration, time.Second)
	p.Timeout = cmp.Or(p.Timeout, 10*time.Second)
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"Connections", p.Connections > 0},
		{"Pipelining", p.Pipelining > 0},
		{"Rate", p.Rate >= 0 && p.Rate <= 1e9},
		{"Warmup", p.Warmup >= 0},
		{"Duration", p.Duration > 0},
		{"Timeout", p.Timeout > 0},
		{"Sample", p.Sample > 0},
		{"Threads", p.Threads >= 0},
	} {
		if !f.ok {
			return nil, &PlanError{Field: f.name, Why: "out of range"}
		}
	}
	if p.CPUs != nil && len(p.CPUs) == 0 {
		return nil, &PlanError{Field: "CPUs", Why: "there are none"}
	}
	if len(p.Addresses) == 0 {
		return nil, &PlanError{Field: "Addresses", Why: "there are none"}
	}
	if p.Threads == 0 {
		if p.Threads = len(p.CPUs); p.CPUs == nil {
			p.Threads = max(1, allowed()/2)
		}
	}
	p.Threads = min(p.Threads, p.Connections)
	s := &settled{Plan: p}
	for _, a := range p.Addresses {
		t, err := p.resolve(ctx, a)
		if err != nil {
			return nil, err
		}
		s.targets = append(s.targets, t)
	}
	return s, nil
}

// own returns a copy for one thread: package unix writes to an address that it
// connects to.
func (t target) own() *target {
	switch a := t.addr.(type) {
	case *unix.SockaddrInet4:
		t.addr = &unix.SockaddrInet4{Port: a.Port, Addr: a.Addr}
	case *unix.SockaddrInet6:
		t.addr = &unix.SockaddrInet6{Port: a.Port, ZoneId: a.ZoneId, Addr: a.Addr}
	}
	return &t
}

// resolve looks a host's name up, if it is one. That is done in the caller's network,
// and so is not where the plan has another.
func (p Plan) resolve(ctx context.Context, address string) (target, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return target{}, &PlanError{Field: "Addresses", Why: "no host and port", Err: err}
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return target{}, &PlanError{Field: "Addresses", Why: fmt.Sprintf("%s has no port", address), Err: err}
	}
	ip, err := netip.ParseAddr(host)
	if p.Network != "" && (err != nil || ip.Zone() != "") {
		return target{}, &PlanError{Field: "Addresses", Why: address + " is not the address of a host in Network, where nothing is looked up", Err: err}
	}
	if err != nil {
		found, lerr := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if ctx.Err() != nil {
			return target{}, context.Cause(ctx)
		}
		if lerr != nil {
			return target{}, &PlanError{Field: "Addresses", Why: "a host that is not known", Err: lerr}
		}
		ip = found[0]
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return target{address, unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}}, nil
	}
	a := &unix.SockaddrInet6{Port: int(port), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return target{}, &PlanError{Field: "Addresses", Why: "an interface that is not known", Err: err}
		}
		a.ZoneId = uint32(i.Index)
	}
	return target{address, unix.AF_INET6, a}, nil
}
