package measure

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

// CgroupLimits returns what the gauges of the cgroup in dir read, what there
// may be or must stay, and their limits.
func CgroupLimits(dir string, l Limits) (have, most []int64, limits []string, err error) {
	gauges, err := gaugesOf(dir, l)
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
	g := &gauge{limit: freeMemory, floor: true, read: func() (int64, error) { return left(), nil }}
	p.limiter = &limiter{gauges: []*gauge{g}, memory: []*gauge{g}}
}
