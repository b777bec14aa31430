package measure

import (
	"math"
	"time"
)

// A limiter holds the limits of one population.
type limiter struct {
	limits  Limits
	gauges  []*gauge
	memory  []*gauge        // those that are about memory
	watched map[string]bool // the processes and cgroups that there are gauges of
	grown   time.Duration   // what growing has taken before begin
	begin   time.Time       // of this growing
	glanced time.Time
}

func newLimiter(limits Limits) (*limiter, error) {
	gauges, err := hostGauges(limits)
	if err != nil {
		return nil, err
	}
	l := &limiter{limits: limits}
	l.add(gauges)
	return l, nil
}

// add takes in the gauges of what is not watched yet.
func (l *limiter) add(gauges []*gauge) {
	if l.watched == nil {
		l.watched = map[string]bool{}
	}
	for _, g := range gauges {
		key := string(g.limit) + " " + g.where
		if l.watched[key] {
			continue
		}
		l.watched[key] = true
		l.gauges = append(l.gauges, g)
		if g.limit == LimitFreeMemory {
			l.memory = append(l.memory, g)
		}
	}
}

// watchProcess adds the limits of a process that instances share. One of an
// instance alone does not grow with their number.
func (l *limiter) watchProcess(pid int) error {
	gauges, err := processGauges(pid, l.limits)
	l.add(gauges)
	return err
}

// watchCgroup adds the limits of a cgroup that instances share, and of those
// above it.
func (l *limiter) watchCgroup(cgroup string) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	gauges, err := cgroupGauges(l.limits, mounts, func(hierarchy) (string, bool) { return cgroup, true })
	l.add(gauges)
	return err
}

// resume begins to count time and makes every limit due: nobody has watched since
// the last step.
func (l *limiter) resume() {
	l.begin = time.Now()
	for _, g := range l.gauges {
		g.due = 0
	}
}

// rest ends what resume has begun.
func (l *limiter) rest() { l.grown += time.Since(l.begin) }

// step checks every limit that is due and returns how many instances may be
// started before the next check, at least one, or a *LimitReached.
func (l *limiter) step(held int) (int, error) {
	due := math.MaxInt
	for _, g := range l.gauges {
		if held >= g.due {
			if err := g.check(held); err != nil {
				return 0, err
			}
		}
		due = min(due, g.due)
	}
	return max(1, due-held), nil
}

// glanceEvery is how old the last look at free memory may be when an instance
// is started, between two checks.
const glanceEvery = 100 * time.Millisecond

// glance is what is looked at before each start while others are running: the
// time, and now and then whether memory is left for these too, which grow after
// their start or take more meanwhile than afterwards.
func (l *limiter) glance(running int) error {
	now := time.Now()
	if took := l.grown + now.Sub(l.begin); l.limits.Time > 0 && took >= l.limits.Time {
		return &LimitReached{Limit: LimitTime, Have: int64(took), Most: int64(l.limits.Time), Fix: "raise Limits.Time"}
	}
	if now.Sub(l.glanced) < glanceEvery {
		return nil
	}
	l.glanced = now
	for _, g := range l.memory {
		have, left, err := g.left()
		if err != nil {
			return err
		}
		if !g.fits(left, running+1) {
			return g.reached(have)
		}
	}
	return nil
}
