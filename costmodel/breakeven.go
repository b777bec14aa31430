package costmodel

import (
	"errors"
	"fmt"
	"math"
)

// An Option is a way to run a service: what its hosts can do, and what people cost.
// The infrastructure of its TCO is not used, it follows from the demand.
type Option struct {
	Service Service
	TCO     TCO
}

// year is its cost at a demand by the values alone, USD.
func (o Option) year(d Demand, month Hours) (float64, error) {
	p, err := o.Service.plan(d)
	if err != nil {
		return 0, err
	}
	h := o.Service.Host
	return 12*(float64(p.hosts)*h.USDPerHour*float64(month)+h.surplus(p.hosts, p.meanCores, month)) + o.TCO.people(), nil
}

// below returns the greatest demand less than this one, requests a day, at which the
// cost makes a step or a bend: a host less would carry it or be cheaper, an instance less
// that is paid for would answer it, or the hosts' price just covers its processor time. It
// is 0 if there is none.
func (o Option) below(d Demand) (float64, error) {
	s := o.Service
	p, err := s.plan(d)
	if err != nil {
		return 0, err
	}
	perDay := secondsPerDay / d.peak()
	if s.PerHost > 0 {
		rate := float64(p.hosts-1) * float64(s.PerHost) * s.each(d)
		if p.hosts-1 < int(up(float64(d.Instances)/float64(s.PerHost))) {
			rate = 0
		}
		return rate * perDay, nil
	}
	h, err := s.room(d)
	if err != nil {
		return 0, err
	}
	var changes []float64
	if p.hosts > 1 {
		changes = append(changes, h.carries(float64(p.hosts-1))*perDay)
	}
	if s.Host.SurplusUSD > 0 {
		covered := float64(p.hosts) * s.Host.covered()
		for _, cores := range []float64{covered, covered - s.Host.covered() + s.Host.USDPerHour/s.Host.SurplusUSD} {
			if less := p.meanCores - cores; less > 0 {
				changes = append(changes, d.RequestsPerDay-less*s.speed()/h.cpu*secondsPerDay)
			}
		}
		if fewest := h.fewest(); h.cores > 0 && fewest > max(h.held, 1) {
			changes = append(changes, (fewest-1)*h.one()*perDay)
		}
	}
	next := 0.
	for _, c := range changes {
		if c < d.RequestsPerDay {
			next = max(next, c)
		}
	}
	return next, nil
}

// A NoBreakEvenError tells that one option still costs more at the largest demand
// that was looked at.
type NoBreakEvenError struct {
	Dear, Cheap         string
	UpTo                float64 // requests per day
	DearYear, CheapYear float64 // USD at that demand
}

func (e *NoBreakEvenError) Error() string {
	return fmt.Sprintf("costmodel: %s does not pay back up to %.0f requests per day, where a year of it costs %.0f USD and of %s %.0f", e.Dear, e.UpTo, e.DearYear, e.Cheap, e.CheapYear)
}

// BreakEven returns the demand, requests per day, from which on the first option
// costs no more than the second at any demand up to upTo: for an option whose people
// cost more, where that pays back. 0 is from the first request on. The shape gives the
// peak and the instances that are held at every demand; its RequestsPerDay is not used.
//
// Hosts are whole, so costs rise by steps and may cross several times: it is the last
// crossing. The interval is from the ends that favour the first option to those that
// favour the second, and High is +Inf where there is no crossing then; where there is
// none by the values the error is a *NoBreakEvenError.
func BreakEven(dear, cheap Option, shape Demand, upTo float64, month Hours) (Range, error) {
	if err := month.check(); err != nil {
		return Range{}, err
	}
	if !finite(upTo) || upTo <= 0 {
		return Range{}, badf("a largest demand of %v requests per day", upTo)
	}
	shape.RequestsPerDay = upTo
	for _, o := range []Option{dear, cheap} {
		if _, err := o.Service.Fleet(shape); err != nil {
			return Range{}, err
		}
		if err := o.TCO.checkPeople(); err != nil {
			return Range{}, err
		}
	}
	value, err := breakEven(dear, cheap, shape, month)
	if err != nil {
		return Range{}, err
	}
	corner := func(o Option, worst bool) Option { return Option{o.Service.corner(worst), o.TCO} }
	low, err := breakEven(corner(dear, false), corner(cheap, true), shape, month)
	if err != nil {
		return Range{}, err
	}
	high, err := breakEven(corner(dear, true), corner(cheap, false), shape, month)
	if errors.As(err, new(*NoBreakEvenError)) {
		high, err = math.Inf(1), nil
	}
	return Range{value, low, high}, err
}

// mostSteps bounds how many steps and bends of the cost are looked at.
const mostSteps = 1 << 15

// breakEven goes down from the demand, from one step or bend of a cost to the next, to
// the last demand where the first option costs more. Between two of them both are
// straight lines.
func breakEven(dear, cheap Option, d Demand, month Hours) (float64, error) {
	upTo := d.RequestsPerDay
	more := func(perDay float64) (float64, error) {
		at := d
		at.RequestsPerDay = perDay
		a, err := dear.year(at, month)
		if err != nil {
			return 0, err
		}
		b, err := cheap.year(at, month)
		// What rounding adds is no difference.
		return a - b - grain*(a+b), err
	}
	for range mostSteps {
		m, err := more(d.RequestsPerDay)
		switch {
		case err != nil:
			return 0, err
		case m > 0 && d.RequestsPerDay == upTo:
			a, _ := dear.year(d, month)
			b, _ := cheap.year(d, month)
			return 0, &NoBreakEvenError{dear.Service.Name, cheap.Service.Name, upTo, a, b}
		case m > 0:
			return d.RequestsPerDay, nil
		}
		a, err := dear.below(d)
		if err != nil {
			return 0, err
		}
		b, err := cheap.below(d)
		if err != nil {
			return 0, err
		}
		next := max(a, b)
		if next >= d.RequestsPerDay*(1-grain) {
			next = d.RequestsPerDay * (1 - 2*grain)
		}
		// Just above the step both are still on their lines.
		above := next + 4*grain*d.RequestsPerDay
		if above >= d.RequestsPerDay {
			above = d.RequestsPerDay
		}
		if m, err = more(above); err != nil {
			return 0, err
		} else if m > 0 {
			low, high := above, d.RequestsPerDay
			for range 60 {
				if mid := low + (high-low)/2; mid <= low || mid >= high {
					break
				} else if m, err = more(mid); err != nil {
					return 0, err
				} else if m > 0 {
					low = mid
				} else {
					high = mid
				}
			}
			return high, nil
		}
		if next == 0 {
			return 0, nil
		}
		d.RequestsPerDay = next
	}
	return 0, badf("more than %d steps of both costs up to %v requests per day: look at a smaller demand", mostSteps, upTo)
}
