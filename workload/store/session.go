package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

// A Session does what one guest asks, one request after the other. It takes no
// connection but while it has a transaction or runs a statement.
type Session struct {
	s    *Store
	tx   *conn // of its transaction, or nil
	lost bool  // the transaction has been undone, and the guest has not ended it; tx is nil where that took its connection
}

var errLost = errors.New("the transaction was undone after an error: roll it back")

// NewSession returns a session. It is to be closed before the store is.
func (s *Store) NewSession() *Session { return &Session{s: s} }

// Do appends to dst the answer to a request, both as package sqlwire encodes them.
// What fails is told in the answer.
func (s *Session) Do(dst, request []byte) []byte {
	q, err := sqlwire.ParseRequest(request)
	if err != nil {
		return sqlwire.AppendError(dst, fmt.Errorf("store: %w", err))
	}
	rows, err := s.Run(q)
	if err != nil {
		return sqlwire.AppendError(dst, err)
	}
	return sqlwire.AppendRows(dst, rows)
}

// Run does what a request asks. It waits for its turn in this process and then among
// processes, each time no longer than Patience.
//
// An error within a transaction leaves that as it was before; or, as where the disk is
// full or the statement says so, SQLite undoes all of it: then what is asked next is an
// error, until it is rolled back or ended by a commit that fails. So it is after a panic
// of the driver, which Run passes on: the connection on which it came is closed.
func (s *Session) Run(q sqlwire.Request) (rows sqlwire.Rows, err error) {
	ctx := context.Background()
	switch q.Op {
	case sqlwire.Begin:
		err = s.begin(ctx)
	case sqlwire.Commit, sqlwire.Rollback:
		err = s.end(ctx, q.Op == sqlwire.Commit)
	case sqlwire.Read:
		rows, err = s.run(ctx, &s.s.read, q)
	case sqlwire.Write:
		rows, err = s.run(ctx, &s.s.write, q)
	default:
		err = fmt.Errorf("there is no operation %d", q.Op)
	}
	if err != nil {
		return rows, fmt.Errorf("store: %w", err)
	}
	return rows, nil
}

// run runs a statement in the transaction, or else on a connection of the pool.
func (s *Session) run(ctx context.Context, p *pool, q sqlwire.Request) (sqlwire.Rows, error) {
	if s.lost {
		return sqlwire.Rows{}, errLost
	}
	if s.tx != nil {
		defer s.unlessPanic(&s.s.write, s.tx)
		rows, err := s.tx.run(ctx, q.SQL, q.Args)
		s.lost = err != nil && !s.tx.inTransaction()
		return rows, err
	}
	c, err := p.take(ctx)
	if err != nil {
		return sqlwire.Rows{}, err
	}
	defer s.unlessPanic(p, c)
	rows, err := c.run(ctx, q.SQL, q.Args)
	p.give(c)
	return rows, err
}

// unlessPanic is deferred by what uses c, of the pool p. After a panic nobody knows how
// c is: it is closed, with the transaction that it may have, and the panic goes on.
func (s *Session) unlessPanic(p *pool, c *conn) {
	cause := recover()
	if cause == nil {
		return
	}
	if s.tx == c {
		s.tx, s.lost = nil, true
	}
	if err := p.abandon(c); err != nil {
		panic(fmt.Sprintf("%v; closing its connection: %v", cause, err))
	}
	panic(cause)
}

func (s *Session) begin(ctx context.Context) error {
	if s.tx != nil || s.lost {
		return errors.New("a transaction has begun before and not ended")
	}
	c, err := s.s.write.take(ctx)
	if err != nil {
		return err
	}
	defer s.unlessPanic(&s.s.write, c)
	// Immediate: what is read in it then stays true until it is written.
	if err := c.control(ctx, "BEGIN IMMEDIATE"); err != nil {
		s.s.write.give(c)
		return err
	}
	s.tx = c
	return nil
}

func (s *Session) end(ctx context.Context, commit bool) error {
	c, lost := s.tx, s.lost
	s.tx, s.lost = nil, false
	switch {
	case c == nil && !lost:
		return errors.New("no transaction has begun")
	case c != nil && lost:
		s.s.write.give(c)
	}
	if lost && commit {
		return errLost
	}
	if lost {
		return nil
	}
	defer s.unlessPanic(&s.s.write, c)
	var err error
	if commit {
		err = c.control(ctx, "COMMIT")
	}
	if c.inTransaction() {
		err = errors.Join(err, c.control(ctx, "ROLLBACK"))
	}
	if c.inTransaction() {
		return errors.Join(err, s.s.write.drop(c))
	}
	s.s.write.give(c)
	return err
}

// Rest rolls back the transaction of the session, if it has one, and tells whether
// it had. The session can be used again.
func (s *Session) Rest() (open bool, err error) {
	if s.tx == nil && !s.lost {
		return false, nil
	}
	return true, s.end(context.Background(), false)
}

// Close rolls back the transaction of the session, if it has one.
func (s *Session) Close() error {
	_, err := s.Rest()
	return err
}
