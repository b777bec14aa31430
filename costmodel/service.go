package costmodel

// A Capacity is what one instance of a service can do and what it takes, as
// measured. Requests and CPUPerRequest are needed for a demand of requests only.
type Capacity struct {
	Requests      Range // requests a second that one instance answers within the limit of p99
	CPUPerRequest Range // processor seconds that a request takes, those of shims, daemons and engine hosts included
	Cores         Range // processors that an instance keeps busy, or that a scheduler sets aside for it, whether it is asked or not; zero is none
	Memory        Range // bytes that another instance takes: a slope, not the size of a single one
	Base          Range // bytes that a host has in use before the first instance: its system, daemons, an engine; zero is none
}

// A Service runs on hosts of one type.
type Service struct {
	Name     string
	Host     InstanceType
	Capacity Capacity

	// PerHost is a number of instances that a host holds because somebody says so,
	// as the article does; nothing is packed then, and of Capacity nothing but
	// Requests is used. With 0 hosts are packed.
	PerHost int

	// Speed is how much of one processor of the machine that was measured a vCPU of
	// the host does; 0 is 1. A vCPU is a hardware thread on most clouds and on
	// most machines that measure, and it has a whole core only while its sibling
	// is idle: measure on the type itself, or give what the same benchmark says on both.
	Speed float64

	// Headroom is the share of each capacity, of an instance's requests and of a
	// host's processors and memory, that is kept free.
	Headroom float64
}

// ArticleContainer returns the article's service in containers: ten on a
// t3.medium.
func ArticleContainer() Service { return Service{Name: "container", Host: t3Medium, PerHost: 10} }

// ArticleWasm returns the article's service as modules: two hundred on a t3.small.
func ArticleWasm() Service { return Service{Name: "wasm", Host: t3Small, PerHost: 200} }

func (s Service) speed() float64 {
	if s.Speed == 0 {
		return 1
	}
	return s.Speed
}

// check refuses a service that cannot be planned for the demand.
func (s Service) check(d Demand) error {
	if err := s.Host.check(); err != nil {
		return err
	}
	switch {
	case s.PerHost < 0:
		return badf("%d instances on a host", s.PerHost)
	case !finite(s.Speed) || s.Speed < 0:
		return badf("a vCPU of %v times the speed", s.Speed)
	case !(s.Headroom >= 0 && s.Headroom < 1):
		return badf("a headroom of %v is not a share from 0 to less than 1", s.Headroom)
	}
	if err := d.check(); err != nil {
		return err
	}
	c := s.Capacity
	if d.RequestsPerDay > 0 {
		if err := c.Requests.positive("requests a second of an instance"); err != nil {
			return err
		}
		if c.Requests.exact().Low == 0 {
			return badf("requests a second of an instance: the interval includes 0, so any number of instances may be too few: measure again")
		}
	}
	if s.PerHost > 0 {
		return nil
	}
	if d.RequestsPerDay > 0 {
		if err := c.CPUPerRequest.positive("processor seconds of a request"); err != nil {
			return err
		}
	}
	if err := c.Memory.positive("memory of an instance"); err != nil {
		return err
	}
	if err := c.Cores.check("processors of an instance"); err != nil {
		return err
	}
	return c.Base.check("memory of a host before the first instance")
}

// corner returns the service with the worst or the best ends of all intervals.
func (s Service) corner(worst bool) Service {
	end := func(r Range, high bool) Range {
		if r = r.exact(); high {
			return Exactly(r.High)
		}
		return Exactly(r.Low)
	}
	c := s.Capacity
	s.Capacity = Capacity{
		Requests:      end(c.Requests, !worst),
		CPUPerRequest: end(c.CPUPerRequest, worst),
		Cores:         end(c.Cores, worst),
		Memory:        end(c.Memory, worst),
		Base:          end(c.Base, worst),
	}
	return s
}
