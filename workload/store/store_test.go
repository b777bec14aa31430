package store_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

func number(n int64) sqlwire.Value { return sqlwire.Value{Kind: sqlwire.Int, Int: n} }

// create makes a database in a directory of the test.
func create(tb testing.TB, o store.Options) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "store.db")
	if err := store.Create(tb.Context(), path, o); err != nil {
		tb.Fatal(err)
	}
	return path
}

func open(tb testing.TB, path string) *store.Store {
	tb.Helper()
	s, err := store.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// A client is a session of a test.
type client struct {
	*store.Session
	tb testing.TB
}

func connect(tb testing.TB, s *store.Store) client {
	c := client{s.NewSession(), tb}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func (c client) do(op sqlwire.Op, statement string, args ...sqlwire.Value) sqlwire.Rows {
	c.tb.Helper()
	rows, err := c.Run(sqlwire.Request{Op: op, SQL: statement, Args: args})
	if err != nil {
		c.tb.Fatalf("%s: %v", statement, err)
	}
	return rows
}

// one returns the one number that a statement gives.
func (c client) one(statement string, args ...sqlwire.Value) int64 {
	c.tb.Helper()
	rows := c.do(sqlwire.Read, statement, args...)
	if len(rows.Values) != 1 || rows.Values[0].Kind != sqlwire.Int {
		c.tb.Fatalf("%s gives %+v", statement, rows)
	}
	return rows.Values[0].Int
}

func TestCreate(t *testing.T) {
	data := shop.Data{Products: 1234, Carts: 321, Stock: 7}
	path := create(t, data)
	c := connect(t, open(t, path))
	rows := c.do(sqlwire.Read, "SELECT id, sku, name, price, stock FROM products ORDER BY id")
	if rows.Len() != data.Products {
		t.Fatalf("%d products, want %d", rows.Len(), data.Products)
	}
	for i := range rows.Len() {
		r, want := rows.Row(i), shop.ProductOf(i+1)
		got := shop.Product{ID: int(r[0].Int), SKU: r[1].Text, Name: r[2].Text, Price: r[3].Int}
		if got != want || r[4].Int != data.Stock {
			t.Fatalf("product %+v with a stock of %d, want %+v", got, r[4].Int, want)
		}
	}
	var lines int64
	for user := 1; user <= data.Carts; user++ {
		for _, l := range data.Cart(user) {
			lines++
			if q := c.one("SELECT quantity FROM carts WHERE user = ? AND product = ?", number(int64(user)), number(int64(l.Product))); q != l.Quantity {
				t.Fatalf("user %d has %d of %+v", user, q, l)
			}
		}
	}
	if all := c.one("SELECT count(*) FROM carts"); all != lines || lines != 2*int64(data.Carts) {
		t.Errorf("%d lines in carts, want %d", all, lines)
	}
	plan := c.do(sqlwire.Read, "EXPLAIN QUERY PLAN SELECT name FROM products WHERE sku = ?", sqlwire.Value{Kind: sqlwire.Text, Text: "x"})
	if text := plan.Row(0)[3].Text; !strings.Contains(text, "USING INDEX products_sku") {
		t.Errorf("a product is looked up by %q", text)
	}
}

// What cannot be made leaves nothing behind and nothing overwritten.
func TestCreateFails(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "store.db")
	for what, try := range map[string]struct {
		ctx  context.Context
		path string
		o    store.Options
		is   error
	}{
		"after its context":   {ended, path, store.Options{}, context.Canceled},
		"of one product":      {t.Context(), path, store.Options{Products: 1}, nil},
		"of too many carts":   {t.Context(), path, store.Options{Carts: 1 << 30}, nil},
		"of a negative stock": {t.Context(), path, store.Options{Stock: -1}, nil},
		"nowhere":             {t.Context(), filepath.Join(path, "no", "x"), store.Options{}, fs.ErrNotExist},
	} {
		if err := store.Create(try.ctx, try.path, try.o); err == nil || try.is != nil && !errors.Is(err, try.is) {
			t.Errorf("a database %s: %v", what, err)
		}
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), path, store.Options{Products: 10}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	if _, err := store.Open(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database that is missing: %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("a file that is no database: %v", err)
	}
	if left, err := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Where somebody has put a link in place of the database, or of what SQLite has beside
// it, no other file is touched.
func TestOpenFollowsNoLink(t *testing.T) {
	for _, of := range []string{"", "-wal", "-shm"} {
		for _, absolute := range []bool{false, true} {
			private := create(t, store.Options{Products: 10})
			before, err := os.ReadFile(private)
			if err != nil {
				t.Fatal(err)
			}
			path := create(t, store.Options{Products: 20})
			target := private
			if !absolute {
				if target, err = filepath.Rel(filepath.Dir(path), private); err != nil {
					t.Fatal(err)
				}
			}
			os.Remove(path + of)
			if err := os.Symlink(target, path+of); err != nil {
				t.Fatal(err)
			}
			if s, err := store.Open(path); err == nil {
				_, err = s.NewSession().Run(sqlwire.Request{Op: sqlwire.Write, SQL: "DELETE FROM products"})
				t.Errorf("%q, absolute=%t: it was opened; writing: %v", of, absolute, err)
				s.Close()
			} else if of == "" && !errors.Is(err, store.ErrNotPlain) {
				t.Errorf("error %v", err)
			}
			if err := store.Verify(t.Context(), path, store.Options{Products: 10}, 0); of == "" && !errors.Is(err, store.ErrNotPlain) {
				t.Errorf("verifying: error %v", err)
			}
			if after, err := os.ReadFile(private); err != nil || !bytes.Equal(after, before) {
				t.Errorf("%q, absolute=%t: the other file has changed, error %v", of, absolute, err)
			}
			if left, err := os.ReadDir(filepath.Dir(private)); len(left) != 1 {
				t.Errorf("%q, absolute=%t: beside it there are %v, %v", of, absolute, left, err)
			}
		}
	}
}

// A connection that is opened later finds the same.
func TestLaterConnectionsFollowNoLink(t *testing.T) {
	path := create(t, store.Options{Products: 10})
	s := open(t, path)
	other := create(t, store.Options{Products: 20})
	if err := errors.Join(os.Rename(path, path+".away"), os.Symlink(other, path)); err != nil {
		t.Fatal(err)
	}
	if rows, err := s.NewSession().Run(sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT count(*) FROM products"}); !errors.Is(err, store.ErrNotPlain) {
		t.Errorf("the first that reads: %+v, error %v", rows, err)
	}
}

// A name that looks like settings of the database is one of a file.
func TestOpenOddNames(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?mode=ro&b#c d%41é")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := store.Create(t.Context(), "%31.db", store.Options{Products: 20}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open("%31.db")
	if err != nil {
		t.Fatal(err)
	}
	connect(t, s).do(sqlwire.Write, "DELETE FROM products")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	// Who closes it last takes the journal away.
	if left, err := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "%31.db" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
