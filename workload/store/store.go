// Package store keeps the SQLite database of the guests that have one: it opens it
// for a process that answers by itself and for the host of a module alike, so that
// both run the same driver, pool and statements.
//
// Any number of processes may have the same database open. One at a time writes;
// the others wait for their turn, and readers for nobody. Those of one process get
// it in the order in which they asked. Processes do not: SQLite has who finds the
// database locked sleep, 1 ms at first and up to 100 ms, and look again, so that one
// may be overtaken many times and the disk be idle meanwhile. What several processes
// write together is less than one alone would.
//
// A process reads by up to min(GOMAXPROCS, 8) connections, each with a cache of its
// own of 2 MB, and writes by one. A connection is opened when all are in use, and the
// one that was used last is used next.
//
// What a guest asks is bounded: a request, by package sqlwire; a text to 1 MiB, a row
// to 32 columns, an answer to 16 MiB; a statement to 15 s, its wait for other
// processes included; the database to 4 GiB. Not bounded but by that time are the
// temporary files of a statement that sorts much, the log of one that writes much, and
// what single functions of SQLite take.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// Patience is how long a session waits for its turn to write, before that is an
// error.
const Patience = 10 * time.Second

// bounds are what a guest can take of the host.
type bounds struct {
	statement time.Duration // that one may take: as it waits, and then as it works
	pages     int           // of 4 KiB, that the database may have
}

var usual = bounds{statement: Patience + 5*time.Second, pages: 1 << 20}

// A Store is an open database. It may be used by several goroutines.
type Store struct {
	read    pool
	write   pool
	closing sync.Once
	closed  error
}

// Open opens the database at path, which Create or a program of the caller's has
// made; that there is none is an error that wraps fs.ErrNotExist. It is a plain file:
// a link there is an error that wraps ErrNotPlain. It is left in the mode of journal
// WAL.
func Open(path string) (*Store, error) {
	s, err := open(path, usual)
	if err != nil {
		return nil, fmt.Errorf("store: opening the database: %w", err)
	}
	return s, nil
}

func open(path string, b bounds) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	s := &Store{}
	// One connection for each processor: more would only share them.
	if err := s.read.open(path, "_query_only=1", min(runtime.GOMAXPROCS(0), 8), b.statement); err != nil {
		return nil, err
	}
	writing := fmt.Sprintf("_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=1&_pragma=max_page_count(%d)", b.pages)
	if err := s.write.open(path, writing, 1, b.statement); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	c, err := s.write.take(ctx) // that it can be opened is known here
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.write.give(c)
	return s, nil
}

// ErrNotPlain is what is where the database should be and no plain file. A guest that
// has had the directory may have put it there, to lead this process to another file of
// the host.
var ErrNotPlain = errors.New("not a plain file")

// regular returns an error unless there is a plain file at path.
func regular(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err // which SQLite would not tell from others
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: path, Err: ErrNotPlain}
	}
	return nil
}

// source returns the name of the data source that is the file at path, which is not
// made if it is missing.
func source(path, settings string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: fmt.Sprintf("mode=rw&_defensive=1&_busy_timeout=%d&%s", Patience.Milliseconds(), settings)}
	return u.String()
}

// Close closes the database when what its sessions do has been done, for which it
// waits no longer than three times Patience. They get errors afterwards.
func (s *Store) Close() error {
	s.closing.Do(func() {
		// The writer last: whoever is the last checkpoints the journal, and
		// readers may not.
		s.closed = errors.Join(s.read.close(), s.write.close())
	})
	return s.closed
}

// ErrClosed is wrapped by the errors about what is asked of a store that is closed.
var ErrClosed = errors.New("the database is closed")
