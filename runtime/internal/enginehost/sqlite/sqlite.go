// Package sqlite gives engine hosts the SQLite database of a stored workload. It
// links SQLite, so only the hosts of such workloads import it.
package sqlite

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

var errNoDirectory = errors.New("the guest has no directory, in which its database would be: name it with -dir")

// Open returns the database workload.StoreFile in dir. It is opened with the first
// session, so that a host that has none of them pays nothing for it.
func Open(dir string) enginehost.Store { return &database{dir: dir} }

// A database is a store that is opened when it is needed.
type database struct {
	dir string

	mu     sync.Mutex
	opened *store.Store // nil before
}

// Session opens the database if need be.
func (d *database) Session() (enginehost.Session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opened == nil {
		if d.dir == "" {
			return nil, errNoDirectory
		}
		s, err := store.Open(filepath.Join(d.dir, workload.StoreFile))
		if err != nil {
			return nil, err
		}
		d.opened = s
	}
	return d.opened.NewSession(), nil
}

// Close closes the database if it is open.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opened == nil {
		return nil
	}
	s := d.opened
	d.opened = nil
	return s.Close()
}
