// Package sqldb is the database of a guest: the SQLite file store.db in its working
// directory. A process opens that itself; a module has its host do it, with the same
// driver. So that both do the same, what is asked of the one is asked of the other.
package sqldb

import (
	"errors"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
)

// Rows are what a statement gives.
type Rows = sqlwire.Rows

// Int and Text make arguments of statements.
func Int(n int64) sqlwire.Value   { return sqlwire.Value{Kind: sqlwire.Int, Int: n} }
func Text(s string) sqlwire.Value { return sqlwire.Value{Kind: sqlwire.Text, Text: s} }

// Read runs a statement that changes nothing.
func Read(statement string, args ...sqlwire.Value) (Rows, error) {
	s, err := open()
	if err != nil {
		return Rows{}, err
	}
	defer done(s)
	return s.Run(sqlwire.Request{Op: sqlwire.Read, SQL: statement, Args: args})
}

// Write runs a statement as a transaction of its own. Its rows are what it returns by
// RETURNING.
func Write(statement string, args ...sqlwire.Value) (Rows, error) {
	s, err := open()
	if err != nil {
		return Rows{}, err
	}
	defer done(s)
	return s.Run(sqlwire.Request{Op: sqlwire.Write, SQL: statement, Args: args})
}

// A Tx is a transaction: what it reads stays true until it ends, for there is no
// other meanwhile.
type Tx struct{ s *session }

// Run runs a statement in the transaction.
func (t Tx) Run(statement string, args ...sqlwire.Value) (Rows, error) {
	return t.s.Run(sqlwire.Request{Op: sqlwire.Write, SQL: statement, Args: args})
}

// Transact runs do in a transaction, which is committed if do returns nil and else
// rolled back.
func Transact(do func(Tx) error) error {
	s, err := open()
	if err != nil {
		return err
	}
	defer done(s)
	if _, err := s.Run(sqlwire.Request{Op: sqlwire.Begin}); err != nil {
		return err
	}
	if err := do(Tx{s}); err != nil {
		_, undone := s.Run(sqlwire.Request{Op: sqlwire.Rollback})
		return errors.Join(err, undone)
	}
	_, err = s.Run(sqlwire.Request{Op: sqlwire.Commit})
	return err
}
