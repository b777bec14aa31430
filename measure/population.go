package measure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// PopulationOptions say how a population grows and when it stops. The zero
// value grows until the host has no more to give.
type PopulationOptions struct {
	// Parallel is how many instances are started, asked or closed at a time. 0
	// is twice the number of processors.
	Parallel int
	// Limit ends with a *LimitError when one start takes longer to its first
	// checked answer, or one call of Check. 0 is no limit.
	Limit time.Duration
	// Limits end growing before the host or a process runs out of something.
	Limits Limits
	// Progress is told, about once a second while the population grows, how
	// many are held. It is called by Grow's goroutine. nil is silent.
	Progress func(held int)
}

// A Population is many instances of one image that are held live at a time. Its
// methods are for one goroutine at a time.
type Population struct {
	img  runtime.Image
	w    workload.Workload
	opts PopulationOptions

	instances []runtime.Instance
	timelines []runtime.Timeline
	scope     union
	limiter   *limiter // nil before the first Grow
	told      time.Time
	closed    bool
}

// NewPopulation returns a population of img that holds nobody yet. The image
// stays the caller's, to be closed after the population.
func NewPopulation(img runtime.Image, w workload.Workload, opts PopulationOptions) *Population {
	if opts.Parallel <= 0 {
		opts.Parallel = 2 * goruntime.NumCPU()
	}
	return &Population{img: img, w: w, opts: opts, scope: newUnion()}
}

// ErrPopulationClosed says that a population was to grow that has been closed.
var ErrPopulationClosed = errors.New("the population has been closed")

// Grow starts instances, several at a time, until n are held. Each is timed and
// checked as by Starts; where starts do not overlap, as in one host process, the
// time of each has its wait for the others in it.
//
// A limit that comes first is a *LimitReached. After a start that failed, as
// after the end of ctx, no other is begun; those under way are waited for. With
// any error what is held stays held, and Grow may be called again.
func (p *Population) Grow(ctx context.Context, n int) error {
	if p.closed {
		return ErrPopulationClosed
	}
	defer quiet()()
	if p.limiter == nil {
		l, err := newLimiter(p.opts.Limits)
		if err != nil {
			return err
		}
		p.limiter = l
	}
	p.limiter.recheck()
	p.told = time.Now()
	for p.Len() < n {
		step, err := p.limiter.step(p.Len())
		if err == nil {
			collect()
			err = p.start(ctx, min(step, n-p.Len(), largestBatch))
		}
		var reached *LimitReached
		if errors.As(err, &reached) {
			reached.Held = p.Len()
		}
		if err != nil && err != error(reached) {
			err = fmt.Errorf("holding %d of %d instances: %w", p.Len(), n, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A newcomer is what a start came to.
type newcomer struct {
	inst  runtime.Instance
	scope runtime.Scope
	took  *runtime.Timeline
	err   error
}

// start starts up to n instances and returns when none is on its way any more.
func (p *Population) start(ctx context.Context, n int) (err error) {
	ended := make(chan newcomer)
	begun, running := 0, 0
	for {
		for err == nil && begun < n && running < p.opts.Parallel {
			if err = context.Cause(ctx); err == nil {
				err = p.limiter.glance(running)
			}
			if err == nil {
				begun++
				running++
				go func() { ended <- p.startOne(ctx) }()
			}
		}
		if running == 0 {
			return err
		}
		c := <-ended
		running--
		switch {
		case c.err == nil:
			p.hold(c)
		case err == nil:
			err = c.err
		case !strings.Contains(err.Error(), c.err.Error()):
			err = errors.Join(err, c.err)
		}
	}
}

// startOne starts an instance. What it consists of is read here, outside the
// clock, because a daemon may have to be asked.
func (p *Population) startOne(ctx context.Context) (c newcomer) {
	ctx, cancel := p.limited(ctx)
	defer cancel()
	c.inst, c.took, c.err = runtime.FirstAnswer(ctx, p.img, p.w.Request(), p.w.Check)
	if c.err != nil {
		c.err = because(ctx, c.err)
		if used := (*runtime.Exhausted)(nil); errors.As(c.err, &used) {
			c.err = &LimitReached{Limit: runtimeLimit, Where: used.What, Fix: used.Fix, Err: c.err}
		}
		return c
	}
	c.scope = c.inst.Scope()
	return c
}

// limited returns a context for one start or call.
func (p *Population) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.opts.Limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, p.opts.Limit, &LimitError{p.opts.Limit})
}

// because adds to an error why the context has ended, where it does not tell.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func (p *Population) hold(c newcomer) {
	p.instances = append(p.instances, c.inst)
	p.timelines = append(p.timelines, *c.took)
	p.scope.add(c.scope)
	for _, pid := range c.scope.Own {
		if p.scope.own[pid] == 2 {
			p.limiter.watch(pid)
		}
	}
	if p.opts.Progress != nil && time.Since(p.told) >= time.Second {
		p.told = time.Now()
		p.opts.Progress(p.Len())
	}
}

// Len returns how many are held.
func (p *Population) Len() int { return len(p.instances) }

// Timelines returns those of the starts, in the order in which they ended.
func (p *Population) Timelines() []runtime.Timeline { return slices.Clone(p.timelines) }

// Scope names the processes of all instances, each once and none of them as
// shared that is an instance's own, as they were when each had been started.
// The shim and the cgroup are there where all instances have the same.
func (p *Population) Scope() runtime.Scope { return p.scope.scope() }

// Check asks that many of the live instances, chosen at random, and checks each
// answer; 0 or more than there are asks all. An instance that has died fails.
// The error tells how many failed and wraps the first.
func (p *Population) Check(ctx context.Context, sample int) error {
	if sample <= 0 || sample > p.Len() {
		sample = p.Len()
	}
	chosen := rand.Perm(p.Len())[:sample]
	failures := make(chan error, sample)
	inParallel(p.opts.Parallel, sample, func(i int) {
		if err := p.ask(ctx, p.instances[chosen[i]]); err != nil {
			failures <- err
		}
	})
	if failed := len(failures); failed > 0 {
		return fmt.Errorf("of %d instances, %d were asked and %d of these failed, the first: %w", p.Len(), sample, failed, <-failures)
	}
	return nil
}

func (p *Population) ask(ctx context.Context, inst runtime.Instance) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := p.limited(ctx)
	defer cancel()
	answer, err := inst.Call(ctx, p.w.Request())
	if err != nil {
		return because(ctx, err)
	}
	return p.w.Check(answer)
}

// Close closes all instances, several at a time, and returns the errors of all.
// It can be called again.
func (p *Population) Close() error {
	p.closed = true
	errs := make([]error, p.Len())
	inParallel(p.opts.Parallel, p.Len(), func(i int) { errs[i] = p.instances[i].Close() })
	p.instances, p.scope = nil, newUnion()
	return errors.Join(errs...)
}

// inParallel calls f with each of 0 to n-1, up to width at a time, and returns
// when all calls have.
func inParallel(width, n int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(width, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// A union is the scopes of many instances as one. It is as large as there are
// processes, not instances.
type union struct {
	own    map[int]int // of how many instances a process is
	shared map[int]struct{}
	shim   int
	cgroup string
	some   bool
}

func newUnion() union { return union{own: map[int]int{}, shared: map[int]struct{}{}} }

func (u *union) add(s runtime.Scope) {
	for _, pid := range s.Own {
		u.own[pid]++
	}
	for _, pid := range s.Shared {
		u.shared[pid] = struct{}{}
	}
	if !u.some {
		u.shim, u.cgroup, u.some = s.Shim, s.Cgroup, true
	}
	if u.shim != s.Shim {
		u.shim = 0
	}
	if u.cgroup != s.Cgroup {
		u.cgroup = ""
	}
}

func (u *union) scope() runtime.Scope {
	s := runtime.Scope{Own: slices.Sorted(maps.Keys(u.own)), Shim: u.shim, Cgroup: u.cgroup}
	for _, pid := range slices.Sorted(maps.Keys(u.shared)) {
		if _, own := u.own[pid]; !own {
			s.Shared = append(s.Shared, pid)
		}
	}
	return s
}
