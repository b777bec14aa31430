package store_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

const stock = "SELECT sum(stock) FROM products"

func TestTransactions(t *testing.T) {
	s := open(t, create(t, store.Options{Products: 10, Stock: 10}))
	a, other := connect(t, s), connect(t, s)
	a.do(sqlwire.Begin, "")
	a.do(sqlwire.Write, "UPDATE products SET stock = 0")
	if n := a.one(stock); n != 0 {
		t.Errorf("the transaction sees a stock of %d, it made it 0", n)
	}
	// Nobody waits to read, nor sees what is not committed.
	if n := other.one(stock); n != 100 {
		t.Errorf("another sees a stock of %d, want 100", n)
	}
	a.do(sqlwire.Rollback, "")
	if n := a.one(stock); n != 100 {
		t.Errorf("after it was rolled back the stock is %d, want 100", n)
	}
	a.do(sqlwire.Begin, "")
	if rows := a.do(sqlwire.Write, "UPDATE products SET stock = stock - 1 WHERE id < 3 RETURNING id, stock"); rows.Len() != 2 || rows.Row(0)[1].Int != 9 {
		t.Errorf("RETURNING gives %+v", rows)
	}
	a.do(sqlwire.Commit, "")
	if n := other.one(stock); n != 98 {
		t.Errorf("another sees a stock of %d, want 98", n)
	}
	for _, op := range []sqlwire.Op{sqlwire.Commit, sqlwire.Rollback} {
		if _, err := a.Run(sqlwire.Request{Op: op}); err == nil {
			t.Errorf("operation %d without a transaction is no error", op)
		}
	}
}

// A statement that fails leaves the transaction as it was.
func TestTransactionGoesOnAfterAnError(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 10, Stock: 10})))
	c.do(sqlwire.Begin, "")
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Begin}); err == nil {
		t.Error("a transaction begins in a transaction")
	}
	c.do(sqlwire.Write, "UPDATE products SET stock = 5 WHERE id = 1")
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: "UPDATE products SET stock = 8 - id"}); err == nil || !strings.Contains(err.Error(), "CHECK") {
		t.Errorf("a negative stock: %v", err)
	}
	c.do(sqlwire.Commit, "")
	if n := c.one(stock); n != 95 {
		t.Errorf("the stock is %d, want 95", n)
	}
}

// A session that ends in the midst of a transaction undoes it and lets others write.
func TestCloseRollsBack(t *testing.T) {
	s := open(t, create(t, store.Options{Products: 10, Stock: 10}))
	a := client{s.NewSession(), t}
	a.do(sqlwire.Begin, "")
	a.do(sqlwire.Write, "UPDATE products SET stock = 0")
	var waited sync.WaitGroup
	waited.Go(func() {
		if _, err := s.NewSession().Run(sqlwire.Request{Op: sqlwire.Write, SQL: "UPDATE products SET stock = stock + 1"}); err != nil {
			t.Error(err)
		}
	})
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	waited.Wait()
	if n := connect(t, s).one(stock); n != 110 {
		t.Errorf("the stock is %d, want 110", n)
	}
}

// Many that read a number and write one more have counted all in the end, those too
// that have opened the database by themselves.
func TestTransactionsOneAfterTheOther(t *testing.T) {
	path := create(t, store.Options{Products: 2, Stock: 1})
	s := open(t, path)
	stores := []*store.Store{s, open(t, path), open(t, path)}
	const sessions, each = 9, 25
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			c := stores[i%len(stores)].NewSession()
			for range each {
				if err := count(c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := connect(t, s).one("SELECT stock FROM products WHERE id = 1"); n != 1+sessions*each {
		t.Errorf("counted to %d, want %d", n, 1+sessions*each)
	}
}

// count makes the stock of the first product one more, in a transaction that reads
// it first.
func count(c *store.Session) error {
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Begin}); err != nil {
		return err
	}
	rows, err := c.Run(sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT stock FROM products WHERE id = 1"})
	if err == nil {
		_, err = c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: "UPDATE products SET stock = ? WHERE id = 1", Args: []sqlwire.Value{number(rows.Values[0].Int + 1)}})
	}
	if err != nil {
		return errors.Join(err, c.Close())
	}
	_, err = c.Run(sqlwire.Request{Op: sqlwire.Commit})
	return err
}

// What a guest asks touches the data of the tables and nothing else of the host.
func TestRefusedStatements(t *testing.T) {
	path := create(t, store.Options{Products: 10, Stock: 10})
	c := connect(t, open(t, path))
	other := filepath.Join(filepath.Dir(path), "other.db")
	for _, statement := range []string{
		"ATTACH '" + other + "' AS other",
		"SELECT 1; ATTACH '" + other + "' AS other",
		"VACUUM", "VACUUM INTO '" + other + "'",
		"PRAGMA query_only = 0", "PRAGMA journal_mode = DELETE", "PRAGMA temp_store_directory = '/'",
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT a",
		"CREATE TABLE a (b)", "CREATE TEMP TABLE a (b)", "CREATE VIRTUAL TABLE a USING fts5(b)", "DROP TABLE carts",
		"DELETE FROM sqlite_master", "SELECT sql FROM sqlite_master", "REINDEX", "ANALYZE",
		"UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = 1", "SELECT data FROM sqlite_dbpage", "DELETE FROM sqlite_dbpage",
		"INSERT INTO sqlite_dbpage (pgno, data) VALUES (2, NULL)", "SELECT count(*) FROM sqlite_dbpage",
		"SELECT * FROM dbstat", "SELECT * FROM json_tree('[]')", "INSERT INTO json_each VALUES (1)",
		"SELECT 1; SELECT 2", "DELETE FROM products; COMMIT", "", "-- nothing",
		"SELECT load_extension('x')", "SELECT * FROM pragma_database_list",
		"SELECT zeroblob(100000000)", "SELECT length(zeroblob(100000000))",
		"SELECT x'00'", "SELECT 1.5", "no SQL", "SELECT * FROM nowhere", "SELECT 'a",
	} {
		for _, op := range []sqlwire.Op{sqlwire.Read, sqlwire.Write} {
			if rows, err := c.Run(sqlwire.Request{Op: op, SQL: statement}); err == nil {
				t.Errorf("%s gives %+v", statement, rows)
			}
		}
	}
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Read, SQL: "DELETE FROM products"}); err == nil {
		t.Error("a statement that was to change nothing deleted all")
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a statement wrote another file: %v", err)
	}
	// And all goes on, within a transaction too.
	c.do(sqlwire.Begin, "")
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: "COMMIT"}); err == nil {
		t.Error("COMMIT is a statement")
	}
	c.do(sqlwire.Rollback, "")
	if n := c.one(stock); n != 100 {
		t.Errorf("the stock is %d, want 100", n)
	}
}

// What a guest may name is there.
func TestAllowedStatements(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 10, Carts: 5})))
	c.do(sqlwire.Write, "INSERT INTO orders (user, total) VALUES (1, 1)")
	c.do(sqlwire.Write, "INSERT INTO order_lines SELECT max(id), 1, 1, 1 FROM orders")
	for statement, want := range map[string]int64{
		"SELECT count(*) FROM carts JOIN products ON id = product":                                               10,
		"SELECT sum(quantity) FROM order_lines":                                                                  1,
		"SELECT count(*) FROM products WHERE id IN (SELECT value FROM json_each('[1, 3, 11]'))":                  2,
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT sum(i) FROM n":      45,
		"SELECT n FROM (SELECT count(*) AS n FROM products) /* and */ -- no more":                                10,
		"SELECT count(*) FROM products WHERE name LIKE '% ' || ?1 AND sku > 'a' AND sku LIKE 'sku-%' OR id = ?1": 1,
	} {
		var args []sqlwire.Value
		if strings.Contains(statement, "?1") {
			args = append(args, number(7))
		}
		if n := c.one(statement, args...); n != want {
			t.Errorf("%s gives %d, want %d", statement, n, want)
		}
	}
}

func (c client) refused(statement, says string, args ...sqlwire.Value) {
	c.tb.Helper()
	for _, op := range []sqlwire.Op{sqlwire.Read, sqlwire.Write} {
		if _, err := c.Run(sqlwire.Request{Op: op, SQL: statement, Args: args}); err == nil || !strings.Contains(err.Error(), says) {
			c.tb.Errorf("%.100s: %v, want one that says %q", statement, err, says)
		}
	}
}

func TestAnswerIsBounded(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 1000})))
	text := func(size int) sqlwire.Value {
		return sqlwire.Value{Kind: sqlwire.Text, Text: strings.Repeat("x", size)}
	}
	columns := func(n int) string { return "SELECT ?" + strings.Repeat(", ?1", n-1) }
	c.refused("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ?, i FROM n", "more than", text(100_000))
	c.refused(columns(32), "more than", text(1_000_000))
	c.refused(columns(33), "too many columns", text(1))
	c.refused("SELECT ? || 'xx'", "too big", text(1<<20-1))
	if row := c.do(sqlwire.Read, columns(15), text(1_000_000)).Row(0); len(row) != 15 || len(row[14].Text) != 1_000_000 {
		t.Errorf("a row of 15 MB has %d columns", len(row))
	}
	if n := c.one("SELECT count(*) FROM products"); n != 1000 {
		t.Errorf("%d products after that", n)
	}
}

func TestRequestIsBounded(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 10})))
	many := make([]sqlwire.Value, sqlwire.MaxArgs)
	all := "SELECT 1 IN (?" + strings.Repeat(", ?", sqlwire.MaxArgs-1)
	c.do(sqlwire.Read, all+")", many...)
	c.refused(all+", ?)", "too many SQL variables", append(many, sqlwire.Value{})...)
	c.refused("SELECT ?", "2 arguments for a statement that takes 1", many[:2]...)
	c.refused("SELECT ?3, ?1", "4 arguments for a statement that takes 3", many[:4]...)
	c.refused("SELECT 1", "1 arguments for a statement that takes 0", many[:1]...)
	c.refused("SELECT ?, ?", "missing argument", many[:1]...)
	c.refused("SELECT length(?)", "too big", sqlwire.Value{Kind: sqlwire.Text, Text: strings.Repeat("x", 1<<20+1)})
	c.refused("SELECT 1"+strings.Repeat(" ", 1<<20), "too big")
	for _, request := range [][]byte{
		sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: strings.Repeat(" ", sqlwire.MaxRequest)}),
		sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT 1", Args: append(many, sqlwire.Value{})}),
	} {
		if _, err := sqlwire.ParseAnswer(c.Do(nil, request)); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("a request of %d bytes: %v", len(request), err)
		}
	}
}

// A statement without end is ended, and what it was a part of is undone.
func TestStatementIsBounded(t *testing.T) {
	s, err := store.OpenWith(create(t, store.Options{Products: 10, Stock: 10}), 50*time.Millisecond, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := connect(t, s)
	const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
	c.refused(endless, "not ended")
	c.do(sqlwire.Begin, "")
	c.do(sqlwire.Write, "UPDATE products SET stock = 5")
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: "UPDATE products SET stock = (" + endless + ")"}); err == nil || !strings.Contains(err.Error(), "not ended") {
		t.Errorf("in a transaction: %v", err)
	}
	c.do(sqlwire.Rollback, "")
	for range 100 {
		if n := c.one(stock); n != 100 {
			t.Fatalf("the stock is %d, want 100", n)
		}
	}
}

// A transaction that SQLite undoes by itself is one to the guest until it ends it, and
// nothing is written by itself meanwhile.
func TestLostTransaction(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 10, Stock: 10})))
	for _, end := range []sqlwire.Op{sqlwire.Rollback, sqlwire.Commit} {
		c.do(sqlwire.Begin, "")
		c.do(sqlwire.Write, "UPDATE products SET stock = 0")
		if _, err := c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: "INSERT OR ROLLBACK INTO products VALUES (1, '', '', 1, 1)"}); err == nil {
			t.Fatal("two products have one number")
		}
		for _, q := range []sqlwire.Request{
			{Op: sqlwire.Begin}, {Op: sqlwire.Read, SQL: stock}, {Op: sqlwire.Write, SQL: "UPDATE products SET stock = 7"},
		} {
			if _, err := c.Run(q); err == nil {
				t.Errorf("after the transaction was undone operation %d is no error", q.Op)
			}
		}
		if _, err := c.Run(sqlwire.Request{Op: end}); (err == nil) != (end == sqlwire.Rollback) {
			t.Errorf("operation %d gives %v", end, err)
		}
		if n := c.one(stock); n != 100 {
			t.Errorf("the stock is %d, want 100", n)
		}
	}
}

func TestDatabaseIsBounded(t *testing.T) {
	path := create(t, store.Options{Products: 10})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenWith(path, time.Minute, int(info.Size()/4096)+10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := connect(t, s)
	const endless = "INSERT INTO orders (user, total) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 1 FROM n"
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Write, SQL: endless}); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("an endless insertion: %v", err)
	}
	c.do(sqlwire.Write, "INSERT INTO orders (user, total) VALUES (1, 1)")
	if n := c.one("SELECT count(*) FROM orders"); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}

// A connection keeps the statements that were used last, and one is enough for one
// session.
func TestKeptStatements(t *testing.T) {
	s := open(t, create(t, store.Options{Products: 10}))
	c := connect(t, s)
	const often = "SELECT count(*) FROM products"
	long := "SELECT '" + strings.Repeat("x", 5000) + "'"
	for i := range 300 {
		c.do(sqlwire.Read, often)
		c.do(sqlwire.Read, fmt.Sprintf("SELECT %d", i))
		c.do(sqlwire.Read, long)
	}
	kept := store.Kept(s)
	if len(kept) != 1 || len(kept[0]) != 128 || !slices.Contains(kept[0], often) || slices.Contains(kept[0], "SELECT 0") || !slices.Contains(kept[0], "SELECT 299") || slices.Contains(kept[0], long) {
		t.Errorf("kept are %.2000q", kept)
	}
}

// Do tells by its bytes what Run tells, and keeps what is before them.
func TestDo(t *testing.T) {
	c := connect(t, open(t, create(t, store.Options{Products: 10})))
	ask := func(request []byte) (sqlwire.Rows, error) {
		answer := c.Do([]byte("before"), request)
		if !strings.HasPrefix(string(answer), "before") {
			t.Fatalf("answer %q", answer)
		}
		return sqlwire.ParseAnswer(answer[len("before"):])
	}
	rows, err := ask(sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT ?, NULL, 'a' || ?", Args: []sqlwire.Value{number(7), number(8)}}))
	if err != nil || rows.Len() != 1 || rows.Row(0)[0] != number(7) || rows.Row(0)[1].Kind != sqlwire.Null || rows.Row(0)[2].Text != "a8" {
		t.Errorf("%+v, %v", rows, err)
	}
	for request, want := range map[string]string{
		string(sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT * FROM nowhere"})): "nowhere",
		string(sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT ?"})):              "missing argument",
		"": "malformed", "junk": "malformed", "\xff": "malformed",
	} {
		if rows, err := ask([]byte(request)); !errors.As(err, new(*sqlwire.Error)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v", request, rows, err)
		}
	}
}

// A store that is closed under its sessions gives errors.
func TestClosed(t *testing.T) {
	s, err := store.Open(create(t, store.Options{Products: 10}))
	if err != nil {
		t.Fatal(err)
	}
	c := s.NewSession()
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Read, SQL: "SELECT 1"}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for _, op := range []sqlwire.Op{sqlwire.Read, sqlwire.Write, sqlwire.Begin} {
		if _, err := c.Run(sqlwire.Request{Op: op, SQL: "SELECT 1"}); !errors.Is(err, store.ErrClosed) {
			t.Errorf("operation %d of a store that is closed: %v", op, err)
		}
	}
}

// planted is a function of SQL that panics in the midst of a statement.
func init() {
	sqlite.MustRegisterScalarFunction("planted", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		panic("planted")
	})
}

// panics runs a statement that is to panic.
func (c client) panics(op sqlwire.Op, statement string) {
	c.tb.Helper()
	defer func() {
		if cause := recover(); cause != "planted" {
			c.tb.Errorf("%s: it panicked with %v", statement, cause)
		}
	}()
	_, err := c.Run(sqlwire.Request{Op: op, SQL: statement})
	c.tb.Errorf("%s: error %v", statement, err)
}

// A panic of the driver costs its statement and its transaction, and nobody a
// connection: neither of this process nor, by what it has locked, of others.
func TestPanics(t *testing.T) {
	path := create(t, store.Options{Products: 10, Stock: 10})
	s := open(t, path)
	c, other, elsewhere := connect(t, s), connect(t, s), connect(t, open(t, path))
	const first, later = "SELECT planted()", "SELECT id, CASE id WHEN 7 THEN planted() END FROM products"
	const write = "UPDATE products SET stock = CASE id WHEN 7 THEN planted() ELSE 0 END"
	long := later + strings.Repeat(" ", 5000) // which is not kept
	for range 20 {                            // more than there are connections
		for _, statement := range []string{first, later, long} {
			c.panics(sqlwire.Read, statement)
		}
		for _, statement := range []string{first, later, long, write} {
			c.panics(sqlwire.Write, statement)
			c.do(sqlwire.Begin, "")
			c.do(sqlwire.Write, "UPDATE products SET stock = 5")
			c.panics(sqlwire.Write, statement)
			for _, q := range []sqlwire.Request{{Op: sqlwire.Begin}, {Op: sqlwire.Read, SQL: stock}, {Op: sqlwire.Write, SQL: "DELETE FROM products"}} {
				if _, err := c.Run(q); err == nil {
					t.Errorf("after the transaction was undone operation %d is no error", q.Op)
				}
			}
			for _, another := range []client{other, elsewhere} {
				another.do(sqlwire.Write, "UPDATE products SET stock = stock")
				if n := another.one(stock); n != 100 {
					t.Fatalf("%.50s: the stock is %d, want 100", statement, n)
				}
			}
			if open, err := c.Rest(); !open || err != nil {
				t.Errorf("the transaction was open: %t, error %v", open, err)
			}
		}
	}
	c.do(sqlwire.Begin, "")
	c.panics(sqlwire.Read, first)
	if _, err := c.Run(sqlwire.Request{Op: sqlwire.Commit}); err == nil {
		t.Error("what was undone is committed")
	}
	c.do(sqlwire.Write, "UPDATE products SET stock = 0")
	if n := elsewhere.one(stock); n != 0 {
		t.Errorf("the stock is %d, want 0", n)
	}
}
