package costmodel

import (
	"cmp"
	"fmt"
	"math"
	"sort"
)

// A Bound is what decides how many hosts it takes.
type Bound string

const (
	BoundCPU    Bound = "cpu"
	BoundMemory Bound = "memory"
	BoundFixed  Bound = "fixed" // instances on a host were given: Service.PerHost
)

// A Count is a whole number and the interval that holds it.
type Count struct{ Value, Low, High int }

func (c Count) scale(by float64) Range {
	return Range{float64(c.Value) * by, float64(c.Low) * by, float64(c.High) * by}
}

// A Fleet is what a service takes for a demand. Its intervals go from the one end
// at which every interval of the inputs is favourable to the other: hosts and busy
// vCPUs move one way with each input, so nothing between lies outside. If every input's
// interval holds it in 95 of 100 cases, these hold the truth in 100-5k with k inputs
// at least (Bonferroni), and in practice in more.
type Fleet struct {
	Hosts     Count
	Instances int // the fewest on Hosts.Value; a host more may take one more or one less
	Bound     Bound

	ByCPU, ByMemory int // hosts that processors, or memory, would take alone; 0 where Bound is BoundFixed

	// MeanCores is how many of the hosts' vCPUs are busy on the mean of the day, by
	// requests and by what the fewest instances keep busy that the demand takes on hosts
	// of this type, however many, all day; zero where Bound is BoundFixed.
	MeanCores Range
}

// An UnfitError tells that a host cannot hold one instance.
type UnfitError struct {
	Service, Host string
	Resource      Bound
	Needs, Has    float64 // processors, or bytes, after headroom; Has of memory without what the host takes itself
}

func (e *UnfitError) Error() string {
	if e.Resource == BoundMemory {
		return fmt.Sprintf("costmodel: %s does not fit a %s: an instance takes %.0f bytes and %.0f are free: take a larger type or less headroom", e.Service, e.Host, e.Needs, max(0, e.Has))
	}
	return fmt.Sprintf("costmodel: %s does not fit a %s: an instance keeps %.3g vCPU busy without a request and there are %.3g: take a larger type or less headroom", e.Service, e.Host, e.Needs, e.Has)
}

// mostHosts is where planning ends, also of instances and of those on a host: what
// takes more is a mistake in the inputs.
const mostHosts = 1 << 30

// Fleet plans the least number of hosts that meets the demand, and of instances on
// them. There are more hosts only of a burstable type that costs less than the processor
// time that it covers, as many as are cheapest. Requests are spread over the hosts by what each can do, and no
// instance gets more than Capacity.Requests nor a host more than its processors
// can; memory is a whole number of instances on each host.
//
// An instance that does not fit a host, also at the unfavourable end of an
// interval, is an *UnfitError; what is missing or makes no sense is ErrInput.
func (s Service) Fleet(d Demand) (Fleet, error) {
	if err := s.check(d); err != nil {
		return Fleet{}, err
	}
	value, err := s.plan(d)
	if err != nil {
		return Fleet{}, err
	}
	low, err := s.corner(false).plan(d)
	if err != nil {
		return Fleet{}, fmt.Errorf("at the favourable ends of the intervals: %w", err)
	}
	high, err := s.corner(true).plan(d)
	if err != nil {
		return Fleet{}, fmt.Errorf("at the unfavourable ends of the intervals: %w", err)
	}
	return Fleet{
		Hosts:     Count{value.hosts, low.hosts, high.hosts},
		Instances: value.instances,
		Bound:     value.bound,
		ByCPU:     value.byCPU, ByMemory: value.byMemory,
		MeanCores: Range{value.meanCores, low.meanCores, high.meanCores},
	}, nil
}

// A plan is a fleet of exact figures.
type plan struct {
	instances, hosts, byCPU, byMemory int
	bound                             Bound
	meanCores                         float64
}

func (s Service) plan(d Demand) (plan, error) {
	fewest := s.fewest(d)
	if !(fewest <= mostHosts) {
		return plan{}, s.tooMany()
	}
	if s.PerHost > 0 {
		return plan{instances: int(fewest), hosts: int(up(fewest / float64(s.PerHost))), bound: BoundFixed}, nil
	}
	h, err := s.room(d)
	if err != nil {
		return plan{}, err
	}
	unlimited := h
	unlimited.most = unlimited.mostByCPU
	p := plan{
		// Not the instances of this fleet: a host more may need one less.
		meanCores: (d.meanRate()*h.cpu + h.cores*h.fewest()) / s.speed(),
		byCPU:     unlimited.hosts(),
	}
	byMemory := up(fewest / h.mostByMemory)
	p.hosts = s.Host.cheapest(h.hosts(), p.meanCores)
	p.byCPU = s.Host.cheapest(p.byCPU, p.meanCores)
	if p.hosts >= mostHosts || byMemory >= mostHosts || p.byCPU >= mostHosts {
		return plan{}, s.tooMany()
	}
	p.byMemory = max(1, int(byMemory))
	p.instances = h.instances(p.hosts)
	p.bound = BoundCPU
	if c := cmp.Compare(p.byMemory, p.byCPU); c > 0 || c == 0 && h.memoryShare(p.instances) > h.cpuShare(p.instances) {
		p.bound = BoundMemory
	}
	return p, nil
}

func (s Service) tooMany() error {
	return badf("%s takes more than %d hosts or instances: is a figure in another unit?", s.Name, mostHosts)
}

// each is what an instance answers a second after headroom; +Inf where nobody asks.
func (s Service) each(d Demand) float64 {
	if d.RequestsPerDay == 0 {
		return math.Inf(1)
	}
	return s.Capacity.Requests.Value * (1 - s.Headroom)
}

// fewest is the least number of instances that the demand takes wherever they run.
func (s Service) fewest(d Demand) float64 {
	return max(float64(d.Instances), up(d.rate()/s.each(d)), 1)
}

// A room is a host as the instances of a service see it: all is after headroom.
type room struct {
	rate float64 // requests a second that all hosts have to answer
	held float64 // instances that all hosts have to hold

	each  float64 // requests a second of an instance
	cpu   float64 // processor seconds of a request
	cores float64 // that an instance takes without a request
	vcpu  float64 // processors of a host

	most                    float64 // instances that a host holds: the lesser of the next two
	mostByCPU, mostByMemory float64
	memory, bytes           float64 // that a host has for instances; that one takes
}

func (s Service) room(d Demand) (room, error) {
	c, keep := s.Capacity, 1-s.Headroom
	h := room{
		rate: d.rate(), held: float64(d.Instances),
		each: s.each(d), cpu: c.CPUPerRequest.Value, cores: c.Cores.Value, vcpu: s.Host.VCPU * s.speed() * keep,
		memory: s.Host.MemoryBytes()*keep - c.Base.Value, bytes: c.Memory.Value,
	}
	if d.RequestsPerDay == 0 {
		h.cpu = 0
	}
	h.mostByMemory, h.mostByCPU = mostHosts, mostHosts
	if h.bytes > 0 || h.memory <= 0 {
		h.mostByMemory = min(mostHosts, down(h.memory/h.bytes))
	}
	if h.cores > 0 {
		h.mostByCPU = min(mostHosts, down(h.vcpu/h.cores))
	}
	h.most = min(h.mostByCPU, h.mostByMemory)
	switch {
	case !(h.mostByMemory >= 1):
		return room{}, &UnfitError{s.Name, s.Host.Name, BoundMemory, h.bytes, h.memory}
	case h.mostByCPU < 1 || h.rate > 0 && h.answers(1) <= 0:
		return room{}, &UnfitError{s.Name, s.Host.Name, BoundCPU, h.cores, h.vcpu}
	}
	return h, nil
}

// answers is how many requests a second a host answers with so many instances.
// Each instance more adds no more than the one before.
func (h room) answers(n float64) float64 {
	if n == 0 {
		return 0
	}
	if h.cpu == 0 {
		return n * h.each
	}
	return min(n*h.each, max(0, h.vcpu-n*h.cores)/h.cpu)
}

// one is how many requests a second an instance answers on a host of its own.
func (h room) one() float64 { return h.answers(1) }

// fewest is the least number of instances that the demand takes on however many hosts: none
// answers more than one that has a host to itself.
func (h room) fewest() float64 {
	if h.rate == 0 {
		return max(h.held, 1)
	}
	return max(h.held, up(h.rate/h.one()), 1)
}

// together is how many requests a second so many instances answer that are spread
// evenly over so many hosts.
func (h room) together(hosts, n float64) float64 {
	per := math.Floor(n / hosts)
	fuller := n - per*hosts
	answered := (hosts - fuller) * h.answers(per)
	if fuller > 0 {
		answered += fuller * h.answers(per+1)
	}
	return answered
}

// useful is the number of instances on so many hosts that answers most, of those
// that may be there.
func (h room) useful(hosts float64) float64 { return max(h.held, hosts*h.freely()) }

// freely is how many instances a host has that holds none but to answer.
func (h room) freely() float64 {
	if h.rate == 0 {
		return 1
	}
	if h.cpu == 0 { // nothing but memory and their own processors limits them
		return min(h.most, up(h.rate/h.each))
	}
	n := math.Floor(h.vcpu / (h.each*h.cpu + h.cores))
	if n >= h.most {
		return h.most
	}
	if n < 1 || h.answers(n+1) > h.answers(n) {
		n++
	}
	return n
}

// enough tells whether so many hosts meet the demand. If they do, so do more.
func (h room) enough(hosts float64) bool {
	return h.held <= hosts*h.most && meets(h.together(hosts, h.useful(hosts)), h.rate)
}

// hosts is the least number that is enough, or mostHosts.
func (h room) hosts() int {
	// Hosts that only hold, or only answer, would be so many; both may take more.
	least := max(1, math.Floor(max(h.held/h.most, h.rate/h.together(1, h.freely()))*(1-grain)))
	if !(least < mostHosts) {
		return mostHosts
	}
	n := int(least)
	for range 2 {
		if h.enough(float64(n)) {
			return n
		}
		n++
	}
	return n + sort.Search(mostHosts-n, func(i int) bool { return h.enough(float64(n + i)) })
}

// instances is the least number that meets the demand on hosts that are enough.
func (h room) instances(hosts int) int {
	least := max(int(h.held), 1)
	most := int(min(h.useful(float64(hosts)), math.MaxInt32))
	return least + sort.Search(max(0, most-least), func(i int) bool {
		return meets(h.together(float64(hosts), float64(least+i)), h.rate)
	})
}

// carries is how many requests a second so many hosts answer at most, 0 if they do
// not even hold the instances.
func (h room) carries(hosts float64) float64 {
	if h.held > hosts*h.most {
		return 0
	}
	return h.together(hosts, h.useful(hosts))
}

func (h room) memoryShare(n int) float64 { return float64(n) * h.bytes / h.memory }

func (h room) cpuShare(n int) float64 { return (h.rate*h.cpu + float64(n)*h.cores) / h.vcpu }

// grain is the part of a whole that rounding may add to a figure: no host is
// rented for it.
const grain = 1e-9

func up(x float64) float64 { return math.Ceil(x * (1 - grain)) }

func down(x float64) float64 { return math.Floor(x * (1 + grain)) }

func meets(answered, asked float64) bool { return answered >= asked*(1-grain) }
