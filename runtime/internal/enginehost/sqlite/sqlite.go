// Package sqlite gives engine hosts the SQLite database of a stored workload. It
// links SQLite, so only the hosts of such workloads import it.
package sqlite

import (
	"errors"
	"path/filepath"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

var (
	errNoDirectory = errors.New("the guest has no directory, in which its database would be: name it with -dir")
	errNotOpen     = errors.New("the database has not been opened")
)

// In returns the database workload.StoreFile in dir. It is to be opened: a host that
// has no guests pays nothing for it.
func In(dir string) enginehost.Store { return &database{dir: dir} }

type database struct {
	dir    string
	opened *store.Store // nil unless it is open
}

func (d *database) Open() (err error) {
	if d.dir == "" {
		return errNoDirectory
	}
	d.opened, err = store.Open(filepath.Join(d.dir, workload.StoreFile))
	return err
}

func (d *database) Session() (enginehost.Session, error) {
	if d.opened == nil {
		return nil, errNotOpen
	}
	return d.opened.NewSession(), nil
}

// Close closes the database if it is open.
func (d *database) Close() error {
	if d.opened == nil {
		return nil
	}
	s := d.opened
	d.opened = nil
	return s.Close()
}
