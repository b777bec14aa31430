package measure

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Limits say how far a population may grow. An instance is only started while
// what one has taken on average says that it will fit. A limit of 0 is what the
// host gives, less what must stay for the host to be of use and for processes to
// end in order; one above that is that too, except for FreeMemory.
type Limits struct {
	// FreeMemory is how many bytes stay available, on the host and in every
	// memory cgroup above this process that has a limit. 0 is a sixteenth of
	// the memory of each, but at least 512 MiB, or half of it if that is less.
	FreeMemory int64
	// Maps is how many mappings a process of several instances may have. 0 is
	// vm.max_map_count less a sixteenth of it or 256.
	Maps int
	// AddressSpace is how many bytes of addresses a process of several
	// instances may have taken. 0 is its RLIMIT_AS, or else 63 in 64 parts of
	// what the processor gives a process.
	AddressSpace int64
	// Tasks is how many processes and threads there may be on the host. 0 is
	// the least of kernel.pid_max, kernel.threads-max and, where this process
	// is not root's, RLIMIT_NPROC, and for those in a pids cgroup above this
	// process its pids.max, each less a sixteenth of it or 512.
	Tasks int
	// Files is how many files this process may have open. 0 is RLIMIT_NOFILE
	// less a sixteenth of it or 128.
	Files int
	// Time is how long growing may go on, from the begin of the first Grow. 0
	// is no limit.
	Time time.Duration
}

// A LimitReached says which limit ended the growth of a population.
type LimitReached struct {
	// Limit is free-memory, map-count, address-space, tasks, open-files, time
	// or, where the runtime itself said that it had no more to give, runtime.
	Limit string
	// Have is what there is, and Most what there may be, or with free-memory
	// must stay: in bytes for free-memory and address-space, in nanoseconds for
	// time, otherwise a number. With runtime they are 0.
	Have, Most int64
	// Next is what another instance is predicted to take, 0 where that is not
	// known.
	Next int64
	// Held is how many instances are held.
	Held int
	// Where is the cgroup or the process that it is a limit of, or what of the
	// runtime, "" for the host and for this process.
	Where string
	// Fix is how to raise the limit.
	Fix string
	// Err is what the runtime said, a *runtime.Exhausted or around one, or nil.
	Err error
}

// Unwrap returns what the runtime said.
func (e *LimitReached) Unwrap() error { return e.Err }

const (
	freeMemory   = "free-memory"
	mapCount     = "map-count"
	addressSpace = "address-space"
	tasks        = "tasks"
	openFiles    = "open-files"
	timeLimit    = "time"
	runtimeLimit = "runtime"
)

func (e *LimitReached) Error() string {
	form := func(v int64) string { return strconv.FormatInt(v, 10) }
	switch e.Limit {
	case freeMemory, addressSpace:
		form = inBinary
	case timeLimit:
		form = func(v int64) string { return time.Duration(v).String() }
	}
	said := fmt.Sprintf("limit %s ends the growth at %d instances: ", e.Limit, e.Held)
	if e.Err != nil {
		return said + e.Err.Error()
	}
	if e.Where != "" {
		said += e.Where + ": "
	}
	if e.Limit == freeMemory {
		said += fmt.Sprintf("%s are available and %s must stay", form(e.Have), form(e.Most))
	} else {
		said += fmt.Sprintf("%s of at most %s", form(e.Have), form(e.Most))
	}
	if e.Next > 0 {
		said += ", and another instance takes about " + form(e.Next)
	}
	return said + "; " + e.Fix
}

func inBinary(v int64) string {
	if v < 1<<20 {
		return strconv.FormatInt(v>>10, 10) + " KiB"
	}
	return strconv.FormatFloat(float64(v)/(1<<20), 'f', 1, 64) + " MiB"
}

// A gauge watches one figure that grows, or shrinks, with the instances.
type gauge struct {
	limit      string
	where, fix string
	floor      bool  // what is left is above most rather than below
	most       int64 // what there may be, or must stay
	read       func() (have int64, err error)

	known    bool  // it has been read
	base     int64 // what was left with baseHeld instances
	baseHeld int
	due      int     // with how many held it is read again
	cost     float64 // of an instance, by the last reading
}

// left reads the gauge.
func (g *gauge) left() (have, left int64, err error) {
	have, err = g.read()
	if g.floor {
		return have, have - g.most, err
	}
	return have, g.most - have, err
}

func (g *gauge) reached(have int64) *LimitReached {
	return &LimitReached{Limit: g.limit, Have: have, Most: g.most, Next: int64(math.Ceil(g.cost)), Where: g.where, Fix: g.fix}
}

// check reads the gauge while nothing starts and decides when it is due again:
// when a quarter of the predicted room has been used, and no later than with
// twice as many instances, for few tell little. The average is that of all
// instances but the first, which brings what the others share, or of all since
// the first reading; only the second is predicted by the first.
func (g *gauge) check(held int) error {
	have, left, err := g.left()
	if err != nil {
		return err
	}
	if g.known && held > g.baseHeld {
		g.cost = max(0, float64(g.base-left)/float64(held-g.baseHeld))
	}
	if !g.known || g.baseHeld == 0 {
		g.known, g.base, g.baseHeld = true, left, held
	}
	if !g.fits(left, 1) {
		return g.reached(have)
	}
	room := held // where nothing was taken there is no telling
	if g.cost > 0 {
		room = int(min(float64(left)/g.cost/4, float64(held)))
	}
	g.due = held + max(1, room)
	return nil
}

// fits tells whether n more instances are predicted to stay within the limit.
func (g *gauge) fits(left int64, n int) bool {
	return left > 0 && float64(left) >= g.cost*float64(n)
}

// A limiter holds the limits of one population.
type limiter struct {
	limits  Limits
	begin   time.Time
	gauges  []*gauge
	memory  []*gauge // those that are about memory
	glanced time.Time
}

func newLimiter(limits Limits) (*limiter, error) {
	gauges, err := hostGauges(limits)
	if err != nil {
		return nil, err
	}
	l := &limiter{limits: limits, begin: time.Now(), gauges: gauges}
	for _, g := range gauges {
		if g.limit == freeMemory {
			l.memory = append(l.memory, g)
		}
	}
	return l, nil
}

// watch adds the limits of a process that instances share. One of an instance
// alone does not grow with their number.
func (l *limiter) watch(pid int) {
	l.gauges = append(l.gauges, processGauges(pid, l.limits)...)
}

// recheck makes every limit due: nobody has watched since the last step.
func (l *limiter) recheck() {
	for _, g := range l.gauges {
		g.due = 0
	}
}

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
	if took := now.Sub(l.begin); l.limits.Time > 0 && took >= l.limits.Time {
		return &LimitReached{Limit: timeLimit, Have: int64(took), Most: int64(l.limits.Time), Fix: "raise Limits.Time"}
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
