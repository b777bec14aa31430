package store

import (
	"maps"
	"slices"
	"time"
)

// OpenWith is Open with other bounds.
func OpenWith(path string, statement time.Duration, pages int) (*Store, error) {
	return open(path, bounds{statement, pages})
}

// Kept returns the statements that each of the connections keeps that read and are free.
func Kept(s *Store) (kept [][]string) {
	s.read.mu.Lock()
	defer s.read.mu.Unlock()
	for _, c := range s.read.free {
		kept = append(kept, slices.Collect(maps.Keys(c.kept)))
	}
	return kept
}
