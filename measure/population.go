package measure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
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
	// OperationLimit ends with a *LimitError when one start takes longer to its
	// first checked answer, or one call of Check. 0 is no limit.
	OperationLimit time.Duration
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
// after the end of ctx, no other is begun; those under way are waited for. A
// failure among them goes before a limit: the error is then no *LimitReached. With
// any error what is held stays held, and Grow may be called again.
//
// An instance that names no process of its own is closed and is a failure, for it
// would take no memory.
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
	p.limiter.resume()
	defer p.limiter.rest()
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
		if err != nil && reached == nil {
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
func (p *Population) start(ctx context.Context, n int) error {
	ended := make(chan newcomer)
	begun, running := 0, 0
	var end ending
	for {
		for end.isOpen() && begun < n && running < p.opts.Parallel {
			end.add(context.Cause(ctx))
			if end.isOpen() {
				end.add(p.limiter.glance(running))
			}
			if end.isOpen() {
				begun++
				running++
				go func() { ended <- p.startOne(ctx) }()
			}
		}
		if running == 0 {
			return end.err()
		}
		c := <-ended
		running--
		if c.err == nil {
			c.err = p.hold(c)
		}
		end.add(c.err)
	}
}

// An ending is why no instance is started any more.
type ending struct {
	limit   *LimitReached // the first
	failure error
}

func (e *ending) isOpen() bool { return e.limit == nil && e.failure == nil }

func (e *ending) add(err error) {
	var limit *LimitReached
	switch {
	case err == nil:
	case errors.As(err, &limit):
		e.limit = cmp.Or(e.limit, limit)
	case e.failure == nil:
		e.failure = err
	case !strings.Contains(e.failure.Error(), err.Error()):
		e.failure = errors.Join(e.failure, err)
	}
}

// err returns the failures, or else the limit. With both the limit is there as
// text alone, so that nobody finds it who asks whether a limit was all that there
// was.
func (e *ending) err() error {
	switch {
	case e.failure != nil && e.limit != nil:
		return fmt.Errorf("%w; meanwhile: %v", e.failure, e.limit)
	case e.failure != nil:
		return e.failure
	case e.limit != nil:
		return e.limit
	}
	return nil
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
			c.err = &LimitReached{Limit: LimitRuntime, Where: used.What, Fix: used.Fix, Err: c.err}
		}
		return c
	}
	if c.scope = c.inst.Scope(); len(c.scope.Own) == 0 {
		c.err = errors.Join(fmt.Errorf("an instance of %s has answered and names no process of its own: it has ended, or its Scope is not complete", p.w.Name()), c.inst.Close())
	}
	return c
}

// limited returns a context for one start or call.
func (p *Population) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.opts.OperationLimit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, p.opts.OperationLimit, &LimitError{p.opts.OperationLimit})
}

// because adds to an error why the context has ended, where it does not tell.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// hold takes an instance in and watches the limits that come with it: those of
// processes that instances turn out to share, and of the cgroups above the first.
func (p *Population) hold(c newcomer) (err error) {
	p.instances = append(p.instances, c.inst)
	p.timelines = append(p.timelines, *c.took)
	for _, pid := range p.scope.add(c.scope) {
		err = errors.Join(err, p.limiter.watchProcess(pid))
	}
	switch cgroup := p.scope.cgroup; {
	case cgroup == "":
	case p.Len() == 1: // its own limits are not the others'
		err = errors.Join(err, p.limiter.watchCgroup(path.Dir(cgroup)))
	case p.Len() == 2: // they are both in it
		err = errors.Join(err, p.limiter.watchCgroup(cgroup))
	}
	if p.opts.Progress != nil && time.Since(p.told) >= time.Second {
		p.told = time.Now()
		p.opts.Progress(p.Len())
	}
	return err
}

// Len returns how many are held.
func (p *Population) Len() int { return len(p.instances) }

// Timelines returns those of the starts, in the order in which they ended.
func (p *Population) Timelines() []runtime.Timeline { return slices.Clone(p.timelines) }

// Scope names the processes of all instances, each once and none of them as
// shared that is an instance's own, as they were when each had been started.
// The shim and the cgroup are there where all instances have the same.
func (p *Population) Scope() runtime.Scope { return p.scope.scope() }

// Scopes asks each instance what it consists of now, in the order in which they
// were started.
func (p *Population) Scopes() []runtime.Scope {
	all := make([]runtime.Scope, p.Len())
	for i, inst := range p.instances {
		all[i] = inst.Scope()
	}
	return all
}

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
