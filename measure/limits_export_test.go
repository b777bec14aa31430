package measure

import "github.com/moby/sys/mountinfo"

// A Gauge is one of a limiter's whose reading is planted.
type Gauge = gauge

// NewGauge returns a gauge of a planted figure.
func NewGauge(floor bool, most int64, read func() (int64, error)) *Gauge {
	return &gauge{limit: "planted", floor: floor, most: most, read: read}
}

// Stepper returns what tells how many instances may be started, by the gauges
// alone.
func Stepper(gauges ...*Gauge) func(held int) (int, error) {
	return (&limiter{gauges: gauges}).step
}

// CgroupLimits returns what the gauges of a cgroup and of those above it read,
// what there may be or must stay, and their limits, by these mounts.
func CgroupLimits(mounts []*mountinfo.Info, cgroup string, l Limits) (have, most []int64, limits []LimitName, err error) {
	gauges, err := cgroupGauges(l, mounts, func(hierarchy) (string, bool) { return cgroup, true })
	for _, g := range gauges {
		v, err := g.read()
		if err != nil {
			return nil, nil, nil, err
		}
		have, most, limits = append(have, v), append(most, g.most), append(limits, g.limit)
	}
	return have, most, limits, err
}

// PlantMemory makes left all that a population knows of the host: the memory
// above the floor.
func PlantMemory(p *Population, left func() int64) {
	p.limiter = &limiter{}
	p.limiter.add([]*gauge{{limit: LimitFreeMemory, floor: true, read: func() (int64, error) { return left(), nil }}})
}

// Watched returns the limits that a population watches beside those of the host
// and of this process, each with what it is of.
func Watched(p *Population) (all []string) {
	for _, g := range p.limiter.gauges {
		if g.where != "" {
			all = append(all, string(g.limit)+" of "+g.where)
		}
	}
	return all
}
