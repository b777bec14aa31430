package load

import (
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// A request is one under way.
type request struct {
	due      int64 // when it was meant to be sent; in a closed loop, when it was
	sent     int64
	size     int  // bytes of it
	bodiless bool // its response has no body: a HEAD
}

// The states of a connection.
type state int

const (
	down       state = iota
	connecting       // until the socket can be written
	up
)

// A conn is one user and the connection that it has at the moment.
type conn struct {
	loop   *loop
	index  int32 // in loop.conns
	number int   // of the user
	user   User
	target *target

	state    state
	fd       int   // -1 while down
	life     int32 // counts its sockets, so that events of one that is gone are told from those of the next
	since    int64 // when the socket was made
	barren   int   // sockets in turn that brought no response
	retry    int64 // no socket is made before this time
	watching uint32

	in    reader
	out   []byte // from the oldest request that has no response on, and what was before it
	wrote int    // bytes of out that have been
	done  int    // bytes of out whose requests have their responses

	queue  []request // a ring of those under way
	oldest int
	under  int // how many

	round   int64 // of the next request in an open loop: how many of this user's were before
	owed    int   // requests of an open loop that are due and not made yet
	checked bool  // a response of it has been checked in full
}

// fill makes as many requests as are to be made, sees to it that there is a
// connection, and sends.
func (c *conn) fill(now int64) error {
	l := c.loop
	if c.state == down && now < c.retry {
		return nil
	}
	if seen := min(c.done, c.wrote); seen > 0 {
		c.out = c.out[:copy(c.out, c.out[seen:])]
		c.wrote -= seen
		c.done -= seen
	}
	made := false
	for c.under < len(c.queue) && l.wants(c, now) {
		due := now
		if l.open {
			due = l.due(c.number, c.round)
			c.round++
			c.owed--
			l.owed--
		}
		before := len(c.out)
		c.out = c.user.Next(c.out, c.target.host)
		msg := c.out[before:]
		c.queue[(c.oldest+c.under)%len(c.queue)] = request{due, now, len(msg), len(msg) > 5 && string(msg[:5]) == "HEAD "}
		c.under++
		l.under++
		made = true
	}
	switch {
	case c.state == down && c.under > 0:
		return c.connect(now)
	case made && c.state == up && c.watching&unix.EPOLLOUT == 0:
		return c.flush(now)
	}
	return nil
}

// connect begins a connection.
func (c *conn) connect(now int64) error {
	l := c.loop
	fd, err := unix.Socket(c.target.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fmt.Errorf("load: making the connection of user %d of %d (more open files may be had by ulimit -n): %w", c.number+1, l.run.plan.Connections, err)
	}
	l.sockets++
	c.fd, c.since = fd, now
	c.life++
	c.state, c.watching = connecting, 0
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("load: TCP_NODELAY: %w", err)
	}
	if err := unix.Connect(fd, c.target.addr); err != nil && err != unix.EINPROGRESS {
		c.hangUp(fmt.Errorf("connecting: %w", err), now)
		return nil
	}
	return c.watch(unix.EPOLLIN | unix.EPOLLOUT)
}

// watch has the thread woken for some events.
func (c *conn) watch(events uint32) error {
	if c.watching == events {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	if c.watching == 0 {
		op = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(c.loop.epoll, op, c.fd, &unix.EpollEvent{Events: events, Fd: c.index, Pad: c.life}); err != nil {
		return fmt.Errorf("load: epoll_ctl: %w", err)
	}
	c.watching = events
	return nil
}

// event sees to what the kernel tells of the connection.
func (c *conn) event(events uint32, now int64) error {
	if c.state == connecting {
		if err := c.connected(); err != nil {
			c.hangUp(fmt.Errorf("connecting: %w", err), now)
			return nil
		}
		c.state = up
		c.loop.tally.Connects++
		events |= unix.EPOLLOUT
	}
	if events&unix.EPOLLOUT != 0 {
		if err := c.flush(now); err != nil || c.state != up {
			return err
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		return c.receive()
	}
	return nil
}

var errSelf = errors.New("the connection met itself: nobody listens there")

// connected returns why the connection was not made.
func (c *conn) connected() error {
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if errno != 0 {
		return unix.Errno(errno)
	}
	// A client that keeps trying a port among those that the kernel gives to
	// clients is given that very port now and then.
	own, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	if sameAddress(own, c.target.addr) {
		return errSelf
	}
	return nil
}

func sameAddress(a, b unix.Sockaddr) bool {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		b, ok := b.(*unix.SockaddrInet4)
		return ok && a.Port == b.Port && a.Addr == b.Addr
	case *unix.SockaddrInet6:
		b, ok := b.(*unix.SockaddrInet6)
		return ok && a.Port == b.Port && a.Addr == b.Addr
	}
	return false
}

// flush writes what there is to write.
func (c *conn) flush(now int64) error {
	for c.wrote < len(c.out) {
		n, errno := write(c.fd, c.out[c.wrote:])
		switch errno {
		case 0:
			c.wrote += n
		case unix.EINTR:
		case unix.EAGAIN:
			return c.watch(unix.EPOLLIN | unix.EPOLLOUT)
		default:
			// What has arrived before, and why, is told by reading.
			return c.receive()
		}
	}
	return c.watch(unix.EPOLLIN)
}

// receive reads once, checks the responses that have come whole, and makes the
// next requests. Where more has arrived the kernel says so again.
func (c *conn) receive() error {
	room := c.in.room()
	n, errno := read(c.fd, room)
	now := c.loop.run.now()
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		c.hangUp(fmt.Errorf("reading the response: %w", errno), now)
		return c.fill(now)
	}
	c.in.arrived(n)
	ended := n == 0
	for c.under > 0 {
		resp, ok, err := c.in.next(c.queue[c.oldest].bodiless, ended)
		if err != nil {
			c.hangUp(err, now)
			return c.fill(now)
		}
		if !ok {
			break
		}
		c.answered(resp, now)
		if resp.last {
			// What was sent after its request the service has not heeded.
			c.hangUp(nil, now)
			return c.fill(now)
		}
	}
	switch {
	case ended && c.under > 0:
		c.hangUp(errNoResponse, now)
	case ended:
		c.hangUp(nil, now)
	case c.under == 0 && c.in.pending() > 0:
		if now >= c.loop.run.begin {
			c.fail("bytes after a response that nobody asked for")
		}
		c.hangUp(nil, now)
	}
	return c.fill(now)
}

var errNoResponse = fmt.Errorf("the connection was closed without a response: %w", io.EOF)

// answered checks the response to the oldest request.
func (c *conn) answered(resp response, now int64) {
	q := c.take()
	c.barren = 0
	full := !c.checked || c.loop.sampled()
	c.checked = true
	if err := c.user.Check(resp.status, resp.body, full); err != nil {
		c.failed(q, err.Error(), now)
		return
	}
	c.loop.right(q, len(resp.body), now)
}

// failed counts a request that failed now.
func (c *conn) failed(q request, text string, now int64) {
	if l := c.loop; l.open && l.counts(q.due) || !l.open && now >= l.run.begin {
		c.fail(text)
	}
}

// fail counts a failure, with the service's address where there are several.
func (c *conn) fail(text string) {
	if len(text) > textSize {
		text = text[:textSize] + "..."
	}
	if len(c.loop.run.plan.targets) > 1 {
		text += " (" + c.target.host + ")"
	}
	c.loop.tally.fail(text)
}

// take takes the oldest request out of those under way.
func (c *conn) take() request {
	q := c.queue[c.oldest]
	c.done += q.size
	if c.oldest++; c.oldest == len(c.queue) {
		c.oldest = 0
	}
	c.under--
	c.loop.under--
	return q
}

// Pauses between sockets that bring no response.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 160 * time.Millisecond
)

// hangUp ends the connection and fails the requests under way, because of err;
// where that is nil they go over the next. A socket that brought a response is
// followed by another at once.
func (c *conn) hangUp(err error, now int64) {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
		c.loop.sockets--
	}
	refused := c.state == connecting
	c.state, c.watching = down, 0
	c.in.reset()
	if err != nil {
		for text := err.Error(); c.under > 0; {
			q := c.take()
			c.user.Failed()
			c.failed(q, text, now)
		}
	}
	c.wrote = c.done
	c.retry = now
	if c.barren > 0 || refused {
		c.retry += int64(min(firstPause<<min(c.barren, 10), lastPause))
	}
	c.barren++
	if refused && c.loop.open && now >= c.loop.run.end {
		// Nobody is there to whom what is late could still be sent.
		c.giveUp(err.Error())
	}
}

// giveUp fails the requests that were due and have not been made.
func (c *conn) giveUp(text string) {
	l := c.loop
	for ; c.owed > 0; c.owed-- {
		due := l.due(c.number, c.round)
		c.round++
		l.owed--
		if l.counts(due) {
			c.fail("never sent: " + text)
		}
	}
}

// expire ends a connection whose oldest request has waited for too long.
func (c *conn) expire(now int64) {
	limit := now - int64(c.loop.run.plan.Timeout)
	switch {
	case c.state != down && c.under > 0 && c.queue[c.oldest].sent <= limit:
		c.hangUp(fmt.Errorf("no response within %v", c.loop.run.plan.Timeout), now)
	case c.state == connecting && c.since <= limit:
		c.hangUp(fmt.Errorf("connecting: %w", unix.ETIMEDOUT), now)
	}
}
