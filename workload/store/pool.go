package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A pool has connections of which each is used by one goroutine at a time. Who wants
// one is served in the order of asking.
type pool struct {
	db        *sql.DB
	path      string
	statement time.Duration // how long one may take
	turns     chan struct{} // one for each connection that may be in use
	closed    chan struct{}

	mu   sync.Mutex
	free []*conn // the last one was used last
}

func (p *pool) open(path, settings string, most int, statement time.Duration) (err error) {
	p.path, p.statement = path, statement
	p.turns, p.closed = make(chan struct{}, most), make(chan struct{})
	for range most {
		p.turns <- struct{}{}
	}
	p.db, err = sql.Open("sqlite", source(path, settings))
	return err
}

// take waits for a connection that is free.
func (p *pool) take(ctx context.Context) (*conn, error) {
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	if c := p.pop(); c != nil {
		return c, nil
	}
	c, err := p.connect(ctx)
	if err != nil {
		p.turns <- struct{}{}
	}
	return c, err
}

func (p *pool) connect(ctx context.Context) (*conn, error) {
	if err := regular(p.path); err != nil {
		return nil, err
	}
	return connect(ctx, p.db, p.statement)
}

func (p *pool) wait(ctx context.Context) error {
	select {
	case <-p.closed:
		return ErrClosed
	default:
	}
	select {
	case <-p.turns:
		return nil
	default: // only who waits needs a clock
	}
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-p.turns:
		return nil
	case <-p.closed:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-late.C:
		return fmt.Errorf("the database was busy for %v: a transaction has not ended", Patience)
	}
}

// pop returns the free connection that was used last, or nil.
func (p *pool) pop() (c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		c, p.free = p.free[last], p.free[:last]
	}
	return c
}

// give takes back what take gave.
func (p *pool) give(c *conn) {
	p.mu.Lock()
	p.free = append(p.free, c)
	p.mu.Unlock()
	p.turns <- struct{}{}
}

// drop closes what take gave, in place of which another will be opened.
func (p *pool) drop(c *conn) error {
	err := c.close()
	p.turns <- struct{}{}
	return err
}

// abandon is drop where something has panicked on c.
func (p *pool) abandon(c *conn) error {
	defer func() { p.turns <- struct{}{} }()
	return c.abandon()
}

// close closes the connections when they are free, for which it waits.
func (p *pool) close() error {
	if p.db == nil {
		return nil
	}
	close(p.closed)
	late := time.NewTimer(p.statement)
	defer late.Stop()
	var errs []error
	for range cap(p.turns) {
		select {
		case <-p.turns:
		case <-late.C:
			return errors.Join(append(errs, errors.New("closing it: a session has not ended"))...)
		}
		if c := p.pop(); c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(append(errs, p.db.Close())...)
}
