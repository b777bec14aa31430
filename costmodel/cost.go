package costmodel

// A Bill is what a month of a service costs.
type Bill struct {
	Fleet      Fleet
	Hosts      Range // USD for the hosts
	Surplus    Range // USD for processor time beyond what their price covers
	USD        Range // both
	PerMillion Range // USD for a million requests; zero where the demand has none
}

// MonthlyCost is the price of the fleet that meets the demand, and of the processor
// time that it does not cover: the mean of the day counts for that, for hosts gather
// by night what they spend by day. Where Service.PerHost is given it is the article's
// formula, whole hosts times price times hours, and nothing else.
//
// It never falls when the demand, or what an instance takes, rises, and never rises
// with what one can do.
func MonthlyCost(s Service, d Demand, month Hours) (Bill, error) {
	if err := month.check(); err != nil {
		return Bill{}, err
	}
	f, err := s.Fleet(d)
	if err != nil {
		return Bill{}, err
	}
	h, c := f.Hosts, f.MeanCores
	b := Bill{
		Fleet: f,
		Hosts: h.scale(s.Host.USDPerHour * float64(month)),
		Surplus: Range{
			s.Host.surplus(h.Value, c.Value, month),
			s.Host.surplus(h.High, c.Low, month), // each host more covers more
			s.Host.surplus(h.Low, c.High, month),
		},
	}
	b.USD = Range{ // not the sum of both intervals: a host more is one that leaves less beyond
		b.Hosts.Value + b.Surplus.Value,
		b.Hosts.Low + s.Host.surplus(h.Low, c.Low, month),
		b.Hosts.High + s.Host.surplus(h.High, c.High, month),
	}
	if !finite(b.USD.High) || !finite(b.USD.Value) {
		return Bill{}, badf("a month of %s costs more than can be counted: is a figure in another unit?", s.Name)
	}
	if d.RequestsPerDay > 0 {
		b.PerMillion = b.USD.Scale(1e6 / (d.RequestsPerDay * float64(month) / 24))
	}
	return b, nil
}

// surplus is the price of the processor time of a month that so many hosts do not
// cover.
func (t InstanceType) surplus(hosts int, meanCores float64, month Hours) float64 {
	return max(0, meanCores-float64(hosts)*t.covered()) * t.SurplusUSD * float64(month)
}

// CostPerMillionRequests is MonthlyCost by million requests, USD. A demand without
// requests is ErrInput.
func CostPerMillionRequests(s Service, d Demand, month Hours) (Range, error) {
	if d.RequestsPerDay == 0 {
		return Range{}, badf("a demand without requests has no cost of a million of them")
	}
	b, err := MonthlyCost(s, d, month)
	return b.PerMillion, err
}

// Savings tells by how much the second of two costs is less than the first, in USD
// and in percent of the first; both are negative where it is more. Their intervals
// hold every pair of values in those of the costs.
func Savings(from, to Range) (usd, percent Range, err error) {
	if err := from.positive("the cost to save from"); err != nil {
		return Range{}, Range{}, err
	}
	if err := to.check("the cost after saving"); err != nil {
		return Range{}, Range{}, err
	}
	from, to = from.exact(), to.exact()
	if from.Low == 0 {
		return Range{}, Range{}, badf("the cost to save from may be 0: no percentage of it can be told")
	}
	usd = Range{from.Value - to.Value, from.Low - to.High, from.High - to.Low}
	percent = Range{100 * (1 - to.Value/from.Value), 100 * (1 - to.High/from.Low), 100 * (1 - to.Low/from.High)}
	return usd, percent, nil
}
