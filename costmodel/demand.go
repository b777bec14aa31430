package costmodel

// secondsPerDay turns requests a day into a rate.
const secondsPerDay = 24 * 60 * 60

// A Demand is what a service must be able to do: answer requests, hold instances,
// or both. One that asks for neither is an error.
type Demand struct {
	RequestsPerDay float64
	Peak           float64 // by how much the busiest moment is above the mean of the day; 0 is 1, as busy all day
	Instances      int     // that are held whatever is asked: tenants, functions kept warm
}

// rate is that of the busiest moment, requests a second.
func (d Demand) rate() float64 { return d.meanRate() * d.peak() }

func (d Demand) meanRate() float64 { return d.RequestsPerDay / secondsPerDay }

func (d Demand) peak() float64 {
	if d.Peak == 0 {
		return 1
	}
	return d.Peak
}

func (d Demand) check() error {
	switch {
	case !finite(d.RequestsPerDay) || d.RequestsPerDay < 0:
		return badf("a demand of %v requests per day", d.RequestsPerDay)
	case !finite(d.Peak) || d.peak() < 1:
		return badf("a peak of %v times the mean: it is 1 or more", d.Peak)
	case d.Instances < 0:
		return badf("a demand for %d instances", d.Instances)
	case d.RequestsPerDay == 0 && d.Instances == 0:
		return badf("a demand for no requests and no instances costs nothing and tells nothing")
	case !finite(d.rate()):
		return badf("a demand of %v requests per day with a peak of %v is more than can be counted", d.RequestsPerDay, d.Peak)
	}
	return nil
}
