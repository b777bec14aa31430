package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

// What one statement of a guest may take of the host's memory.
const (
	maxAnswer = 16 << 20 // bytes of all rows
	maxKept   = 128      // statements that a connection keeps prepared
	maxText   = 4 << 10  // bytes of one of these
)

// limits are what SQLite itself refuses. A row is the least that it gives at once: of
// these it has 32 MiB at most.
var limits = map[int]int{
	sqlite3.SQLITE_LIMIT_ATTACHED:            0,
	sqlite3.SQLITE_LIMIT_SQL_LENGTH:          sqlwire.MaxRequest,
	sqlite3.SQLITE_LIMIT_LENGTH:              sqlwire.MaxRequest, // of a text
	sqlite3.SQLITE_LIMIT_COLUMN:              32,
	sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER:     sqlwire.MaxArgs,
	sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50, // the time for a match, in which nothing can end it, grows with its power
}

// readable and writable are the tables that there are for guests. Among those that
// SQLite has besides are ones to write the file's pages by.
var (
	writable = map[string]bool{"products": true, "carts": true, "orders": true, "order_lines": true}
	readable = map[string]bool{"products": true, "carts": true, "orders": true, "order_lines": true, "json_each": true}
)

// A conn is a connection with the statements that were prepared on it.
type conn struct {
	*handle
	c        *sql.Conn
	longest  time.Duration // for a statement
	kept     map[string]*statement
	turns    uint64               // statements of guests that have been run
	controls map[string]*sql.Stmt // this package's, which guests may not have run
	own      bool                 // the statement is one of these
	args     []any
}

// A statement is one of a guest.
type statement struct {
	*sql.Stmt
	parameters int
	used       uint64 // the turn that it had last
}

// connect opens a connection on which guests may work with the data of the tables
// that there are, and do nothing else: SQL can also write other files of the host,
// and spoil this one.
func connect(ctx context.Context, db *sql.DB, longest time.Duration) (c *conn, err error) {
	raw, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c = &conn{c: raw, longest: longest, kept: map[string]*statement{}, controls: map[string]*sql.Stmt{}}
	if err := c.guard(); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if c.handle, err = handleOf(raw); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

func (c *conn) guard() error {
	for id, most := range limits {
		if _, err := sqlite.Limit(c.c, id, most); err != nil {
			return err
		}
	}
	return c.c.Raw(func(d any) error {
		r, ok := d.(sqlite.AuthorizerRegisterer)
		if !ok {
			return errors.New("its driver does not let it be guarded")
		}
		return r.RegisterAuthorizer(c.authorize)
	})
}

// authorize tells SQLite what a statement may do.
func (c *conn) authorize(action sqlite.AuthorizerActionCode, what, _, _, _ string) sqlite.AuthorizerReturnCode {
	allowed := c.own
	switch action {
	case sqlite.AuthSelect, sqlite.AuthFunction, sqlite.AuthRecursive:
		allowed = true
	case sqlite.AuthRead:
		allowed = readable[what]
	case sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete:
		allowed = writable[what]
	}
	if allowed {
		return sqlite.AuthorizerOK
	}
	return sqlite.AuthorizerDeny
}

// control runs a statement of this package.
func (c *conn) control(ctx context.Context, statement string) error {
	c.own = true
	defer func() { c.own = false }()
	stmt, kept := c.controls[statement]
	if !kept {
		var err error
		if stmt, err = c.c.PrepareContext(ctx, statement); err != nil {
			return err
		}
		c.controls[statement] = stmt
	}
	_, err := stmt.ExecContext(ctx)
	return err
}

// run runs a statement of a guest and returns all its rows.
func (c *conn) run(ctx context.Context, text string, args []sqlwire.Value) (rows sqlwire.Rows, err error) {
	c.start(c.longest)
	defer func() {
		if late := c.stop(); late && err != nil {
			err = fmt.Errorf("it had not ended after %v: %w", c.longest, err)
		}
	}()
	return c.rows(ctx, text, args)
}

func (c *conn) rows(ctx context.Context, text string, args []sqlwire.Value) (rows sqlwire.Rows, err error) {
	stmt, err := c.prepare(ctx, text)
	if err != nil {
		return rows, err
	}
	if len(text) > maxText {
		defer stmt.Close()
	}
	if len(args) > stmt.parameters {
		return rows, fmt.Errorf("%d arguments for a statement that takes %d", len(args), stmt.parameters)
	}
	defer func() {
		clear(c.args) // the texts
		c.args = c.args[:0]
	}()
	for _, a := range args {
		c.args = append(c.args, a.Any())
	}
	r, err := stmt.QueryContext(ctx, c.args...)
	if err != nil {
		return rows, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return collect(r)
}

// prepare returns the statement of a text. It is kept if that is short, in place of
// the one that was used the longest ago.
func (c *conn) prepare(ctx context.Context, text string) (*statement, error) {
	c.turns++
	if s := c.kept[text]; s != nil {
		s.used = c.turns
		return s, nil
	}
	before := c.last()
	stmt, err := c.c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	now := c.last()
	if now == before { // the driver keeps no other
		return nil, errors.Join(errors.New("want one statement"), stmt.Close())
	}
	s := &statement{Stmt: stmt, parameters: c.parameters(now), used: c.turns}
	if len(text) > maxText {
		return s, nil
	}
	if len(c.kept) == maxKept {
		if err := c.forget(); err != nil {
			return nil, errors.Join(err, stmt.Close())
		}
	}
	c.kept[text] = s
	return s, nil
}

// forget closes the kept statement that was used the longest ago.
func (c *conn) forget() error {
	oldest, used := "", c.turns
	for text, s := range c.kept {
		if s.used < used {
			oldest, used = text, s.used
		}
	}
	s := c.kept[oldest]
	delete(c.kept, oldest)
	return s.Close()
}

// collect reads all rows.
func collect(r *sql.Rows) (rows sqlwire.Rows, err error) {
	names, err := r.Columns()
	if err != nil {
		return rows, err
	}
	rows.Columns = len(names)
	row, into := make([]sqlwire.Value, len(names)), make([]any, len(names))
	for i := range row {
		into[i] = &row[i]
	}
	size := 0
	for r.Next() {
		if err := r.Scan(into...); err != nil {
			return sqlwire.Rows{}, err
		}
		for _, v := range row {
			size += int(unsafe.Sizeof(v)) + len(v.Text)
		}
		if size > maxAnswer {
			return sqlwire.Rows{}, fmt.Errorf("the statement gives more than %d bytes", maxAnswer)
		}
		rows.Values = append(rows.Values, row...)
	}
	if err := r.Err(); err != nil {
		return sqlwire.Rows{}, err
	}
	return rows, nil
}

// close closes the statements too, which sql.Conn does not: with them open SQLite
// would keep the file.
func (c *conn) close() error { return errors.Join(c.closeStatements(), c.c.Close()) }

// abandon is close after a panic, of what a statement had half done at most. sql.Conn
// would wait for the call that panicked, which it still takes for one under way.
func (c *conn) abandon() error {
	// Outside a transaction SQLite commits that half when the statement is closed. This
	// fails within one; to ask whether there is one takes a lock that the panic has left.
	_ = c.control(context.Background(), "BEGIN")
	return errors.Join(c.closeStatements(), c.c.Raw(func(d any) error { return d.(driver.Conn).Close() }))
}

func (c *conn) closeStatements() error {
	c.handle.close()
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	for _, stmt := range c.controls {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}
