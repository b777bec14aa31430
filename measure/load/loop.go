package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// A loop is one thread's part of a run: its connections, its epoll instance and
// what it has counted.
type loop struct {
	run   *run
	open  bool
	epoll int
	timer int   // a timerfd: epoll's own time-outs are late by up to 50 µs more
	armed int64 // when it rings
	wake  waker
	conns []*conn

	sockets int
	under   int // requests under way
	owed    int // requests of an open loop that are due and not made yet
	cursor  int // in conns: whose request is due next
	phase   int // 0 in the warm-up, 1 in what counts, 2 after it
	sweep   int64
	random  *rand.PCG
	cpu     time.Duration // of this thread when phase 1 began
	tally   tally
}

// What an event of the epoll instance is about, where it is no connection.
const (
	timerEvent = -1
	wakeEvent  = -2
)

// unarmed is a timer that does not ring.
const unarmed = -1

func newLoop(r *run, seed uint64) (*loop, error) {
	l := &loop{run: r, open: r.plan.Rate > 0, epoll: -1, timer: -1, armed: unarmed, wake: waker{fd: -1}, random: rand.NewPCG(seed, 0), tally: newTally()}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("load: epoll_create1: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		l.close()
		return nil, fmt.Errorf("load: timerfd_create: %w", err)
	}
	if l.wake.fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		l.close()
		return nil, fmt.Errorf("load: eventfd: %w", err)
	}
	for fd, event := range map[int]int32{l.timer: timerEvent, l.wake.fd: wakeEvent} {
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: event}); err != nil {
			l.close()
			return nil, fmt.Errorf("load: epoll_ctl: %w", err)
		}
	}
	return l, nil
}

// close gives back what the loop has of the kernel.
func (l *loop) close() {
	for _, c := range l.conns {
		if c.fd >= 0 {
			unix.Close(c.fd)
			c.fd = -1
		}
	}
	l.wake.retire()
	for _, fd := range []*int{&l.timer, &l.epoll} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// drive connects, calls ready and makes the load once the run has started. It
// returns nil when ctx ends: the cause is known to whoever ended it.
func (l *loop) drive(ctx context.Context, ready func()) error {
	if err := l.connect(ctx); err != nil {
		return err
	}
	ready()
	select {
	case <-l.run.start:
	case <-ctx.Done():
		return nil
	}
	if !l.open {
		for _, c := range l.conns {
			if err := c.fill(l.run.now()); err != nil {
				return err
			}
		}
	}
	for !l.over() {
		if err := l.step(l.until()); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := l.tick(); err != nil {
			return err
		}
	}
	return nil
}

// connect makes the connections and waits until each is up or has failed.
func (l *loop) connect(ctx context.Context) error {
	for _, c := range l.conns {
		if err := c.connect(l.run.now()); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		waiting := false
		for _, c := range l.conns {
			c.expire(l.run.now())
			waiting = waiting || c.state == connecting
		}
		if !waiting {
			break
		}
		if err := l.step(l.run.now() + int64(l.pace())); err != nil {
			return err
		}
	}
	return nil
}

// pace is how often connections are looked after.
func (l *loop) pace() time.Duration {
	return max(time.Millisecond, min(l.run.plan.Timeout/10, firstPause))
}

// step waits for events until a time and sees to those that there are.
func (l *loop) step(until int64) error {
	var events [128]unix.EpollEvent
	n, errno := poll(l.epoll, events[:])
	if n == 0 && errno == 0 {
		if err := l.arm(until); err != nil {
			return err
		}
		n, errno = wait(l.epoll, events[:])
		if n == 0 {
			l.armed = unarmed // as far as is known
		}
	}
	told := l.run.now()
	if errno != 0 && errno != unix.EINTR {
		return fmt.Errorf("load: epoll_wait: %w", errno)
	}
	for i := range n {
		e := &events[i]
		switch e.Fd {
		case timerEvent:
			l.armed = unarmed
			var count [8]byte
			read(l.timer, count[:]) // it may have been armed anew since, and then has no count
		case wakeEvent:
			return nil // the context has ended
		default:
			if c := l.conns[e.Fd]; c.life == e.Pad && c.state != down {
				now := told
				if i > 0 {
					now = l.run.now()
				}
				if l.counts(now) {
					record(l.tally.Wait, now-told)
				}
				if err := c.event(e.Events, now); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// arm has the timer ring at a time of the run.
func (l *loop) arm(at int64) error {
	if at == l.armed {
		return nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, at-l.run.now()))}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return fmt.Errorf("load: timerfd_settime: %w", err)
	}
	l.armed = at
	return nil
}

// until is when there is something to do though nothing has arrived.
func (l *loop) until() int64 {
	at := l.sweep
	switch l.phase {
	case 0:
		at = min(at, l.run.begin)
	case 1:
		at = min(at, l.run.end)
	}
	if due, ok := l.next(); ok {
		at = min(at, due)
	}
	return at
}

// tick does what is to be done by now.
func (l *loop) tick() error {
	now := l.run.now()
	if l.phase == 0 && now >= l.run.begin {
		l.phase = 1
		l.cpu = threadTime()
		l.run.onceBegun.Do(func() { close(l.run.begun) })
	}
	for l.open {
		due, ok := l.next()
		if !ok || due > now {
			break
		}
		c := l.conns[l.cursor]
		if l.cursor++; l.cursor == len(l.conns) {
			l.cursor = 0
		}
		c.owed++
		l.owed++
		now := l.run.now() // those before may have taken long
		if l.counts(due) {
			l.tally.Offered++
			record(l.tally.Lag, now-due)
		}
		if err := c.fill(now); err != nil {
			return err
		}
	}
	if l.phase == 1 && now >= l.run.end {
		l.phase = 2
		l.tally.CPU = threadTime() - l.cpu
		l.run.onceEnd.Do(func() { close(l.run.ended) })
	}
	if now < l.sweep {
		return nil
	}
	l.sweep = now + int64(l.pace())
	for _, c := range l.conns {
		c.expire(now)
		if c.state == down {
			if err := c.fill(now); err != nil {
				return err
			}
		}
	}
	if now >= l.run.end+int64(l.run.plan.Timeout) {
		for _, c := range l.conns {
			if c.under > 0 {
				c.hangUp(fmt.Errorf("no response within %v after the end", l.run.plan.Timeout), now)
			}
			c.giveUp(fmt.Sprintf("others were answered until %v after the end", l.run.plan.Timeout))
		}
	}
	return nil
}

// over reports whether nothing is left to be done.
func (l *loop) over() bool { return l.phase == 2 && l.under == 0 && l.owed == 0 }

// next returns when the next request of an open loop is due, and whether there is
// one.
func (l *loop) next() (due int64, ok bool) {
	if !l.open {
		return 0, false
	}
	c := l.conns[l.cursor]
	due = l.due(c.number, c.round+int64(c.owed))
	return due, due < l.run.end
}

// due returns when a user's request of an open loop is to be sent.
func (l *loop) due(user int, round int64) int64 {
	n := float64(user) + float64(round)*float64(l.run.plan.Connections)
	return l.run.zero + int64(n*1e9/l.run.plan.Rate)
}

// wants reports whether a user has a request to make.
func (l *loop) wants(c *conn, now int64) bool {
	if l.open {
		return c.owed > 0
	}
	return now >= l.run.zero && now < l.run.end
}

// counts reports whether a time is within what counts.
func (l *loop) counts(t int64) bool { return t >= l.run.begin && t < l.run.end }

// sampled reports whether the content of a response is to be checked in full.
func (l *loop) sampled() bool {
	return l.random.Uint64()%uint64(l.run.plan.Sample) == 0
}

// right counts a right answer that came now.
func (l *loop) right(q request, body int, now int64) {
	inTime := l.counts(now)
	switch {
	case inTime:
		l.tally.Completed++
	case now >= l.run.end:
		l.tally.Late++
	}
	if l.open {
		l.tally.fastest = min(l.tally.fastest, now-q.due)
	}
	if l.open && l.counts(q.due) || !l.open && inTime {
		l.tally.Requests++
		l.tally.Received += int64(body)
		record(l.tally.Latency, now-q.due)
	}
}
