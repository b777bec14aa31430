package store

import (
	"errors"
	"path/filepath"
	"testing"
)

// Nobody asks SQLite about a connection that is closed, whose memory is another's.
func TestClosedHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	if err := Create(t.Context(), path, Options{Products: 10}); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(*conn) error{"dropped": s.write.drop, "abandoned": s.write.abandon} {
		c, err := s.write.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := end(c); err != nil || c.db != 0 {
			t.Errorf("%s: the handle is of %#x, error %v", name, c.db, err)
		}
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}
