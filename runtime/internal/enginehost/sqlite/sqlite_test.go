package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost/sqlite"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

func TestDatabase(t *testing.T) {
	dir := t.TempDir()
	db := sqlite.In(dir)
	if err := db.Open(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a database that is not there: %v", err)
	}
	if _, err := db.Session(); err == nil {
		t.Error("a database that is not open has a session")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it left %v, error %v", left, err)
	}
	if err := store.Create(t.Context(), filepath.Join(dir, workload.StoreFile), shop.Data{Products: 100}); err != nil {
		t.Fatal(err)
	}
	if err := db.Open(); err != nil {
		t.Fatal(err)
	}
	request := sqlwire.AppendRequest(nil, sqlwire.Request{SQL: "SELECT count(*) FROM products"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := db.Session()
			if err != nil {
				t.Error(err)
				return
			}
			rows, err := sqlwire.ParseAnswer(s.Do(nil, request))
			if err != nil || rows.Len() != 1 || rows.Row(0)[0].Int != 100 {
				t.Errorf("rows %+v, error %v", rows, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for range 2 {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	// All of it is in the one file again.
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("closed, it left %v, error %v", left, err)
	}
}

// What a guest has put in place of its database is not opened.
func TestLink(t *testing.T) {
	private, dir := filepath.Join(t.TempDir(), "private.db"), t.TempDir()
	if err := errors.Join(store.Create(t.Context(), private, shop.Data{Products: 10}), os.Symlink(private, filepath.Join(dir, workload.StoreFile))); err != nil {
		t.Fatal(err)
	}
	db := sqlite.In(dir)
	if err := db.Open(); !errors.Is(err, store.ErrNotPlain) {
		t.Errorf("a link was opened: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoDirectory(t *testing.T) {
	db := sqlite.In("")
	if err := db.Open(); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Errorf("error %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
