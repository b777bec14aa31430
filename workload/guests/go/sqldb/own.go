//go:build !wasip1

package sqldb

import (
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/store"
)

type session = store.Session

// path is relative to the working directory, which a guest is started in.
const path = "store.db"

var (
	mu     sync.Mutex
	opened *store.Store // nil until that has worked
)

func open() (*session, error) {
	s, err := database()
	if err != nil {
		return nil, err
	}
	return s.NewSession(), nil
}

func database() (*store.Store, error) {
	mu.Lock()
	defer mu.Unlock()
	if opened == nil {
		s, err := store.Open(path)
		if err != nil {
			return nil, err
		}
		opened = s
	}
	return opened, nil
}

// done ends a session that has no transaction, if that did not panic.
func done(s *session) { _ = s.Close() }
