package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// Options say what is in a new database.
type Options = shop.Data

// The products' index is made when they are there, and their SKUs are not in the
// order of their numbers: so a lookup by SKU goes through pages of its own.
const tables = `
CREATE TABLE products (
	id    INTEGER PRIMARY KEY,
	sku   TEXT NOT NULL,
	name  TEXT NOT NULL,
	price INTEGER NOT NULL,
	stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE carts (
	user     INTEGER NOT NULL,
	product  INTEGER NOT NULL REFERENCES products,
	quantity INTEGER NOT NULL CHECK (quantity > 0),
	PRIMARY KEY (user, product)
) WITHOUT ROWID;
CREATE TABLE orders (
	id    INTEGER PRIMARY KEY,
	user  INTEGER NOT NULL,
	total INTEGER NOT NULL
);
CREATE TABLE order_lines (
	"order"  INTEGER NOT NULL REFERENCES orders,
	product  INTEGER NOT NULL REFERENCES products,
	quantity INTEGER NOT NULL,
	price    INTEGER NOT NULL,
	PRIMARY KEY ("order", product)
) WITHOUT ROWID;
`

const indexes = `CREATE UNIQUE INDEX products_sku ON products (sku);`

// Format is the version of what Create writes, for whoever keeps a database: one
// with the same Options is the same as long as Format is.
const Format = 1

// Create makes the database of the guests db and shop at path, with what package
// shop tells of o. A file that is there already is an error that wraps fs.ErrExist.
// What is at path is whole, and nothing is after an error.
func Create(ctx context.Context, path string, o Options) error {
	if err := create(ctx, path, o); err != nil {
		return fmt.Errorf("store: making the database: %w", err)
	}
	return nil
}

func create(ctx context.Context, path string, o Options) (err error) {
	o, err = o.WithDefaults()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "store-*.new")
	if err != nil {
		return err
	}
	draft := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(draft))
		}
	}()
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := fill(ctx, draft, o); err != nil {
		return err
	}
	return place(draft, path)
}

// place gives the draft its name, unless there is a file of that name.
func place(draft, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not on this file system
		if err := os.Link(draft, path); err != nil {
			return err
		}
		return os.Remove(draft)
	}
	if err != nil {
		return &os.LinkError{Op: "renameat2", Old: draft, New: path, Err: err}
	}
	return nil
}

// fill makes the empty file at path a database.
func fill(ctx context.Context, path string, o Options) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	// Nothing is lost with the draft, so it needs no journal.
	source := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw&_journal_mode=OFF&_synchronous=OFF"}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, db.Close())
	}()
	db.SetMaxOpenConns(1) // the settings are those of a connection
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := insertProducts(ctx, tx, o); err != nil {
		return err
	}
	if err := insertCarts(ctx, tx, o); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, indexes); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "PRAGMA journal_mode=WAL")
	return err
}

func insertProducts(ctx context.Context, tx *sql.Tx, o Options) error {
	in := &inserter{ctx: ctx, tx: tx, table: "products", columns: 5}
	for id := 1; id <= o.Products; id++ {
		p := shop.ProductOf(id)
		if err := in.add(p.ID, p.SKU, p.Name, p.Price, o.Stock); err != nil {
			return err
		}
	}
	return in.flush()
}

func insertCarts(ctx context.Context, tx *sql.Tx, o Options) error {
	in := &inserter{ctx: ctx, tx: tx, table: "carts", columns: 3}
	for user := 1; user <= o.Carts; user++ {
		for _, l := range o.Cart(user) {
			if err := in.add(user, l.Product, l.Quantity); err != nil {
				return err
			}
		}
	}
	return in.flush()
}

// batch is how many rows are inserted by one statement, which takes half as long
// as a statement for each.
const batch = 100

// An inserter inserts rows into a table, a batch at a time.
type inserter struct {
	ctx     context.Context
	tx      *sql.Tx
	table   string
	columns int
	full    *sql.Stmt // for a batch
	values  []any
}

func (in *inserter) add(row ...any) error {
	in.values = append(in.values, row...)
	if len(in.values) < batch*in.columns {
		return nil
	}
	return in.flush()
}

// flush inserts what has been added.
func (in *inserter) flush() (err error) {
	rows := len(in.values) / in.columns
	defer func() { in.values = in.values[:0] }()
	switch {
	case rows == 0:
		return nil
	case rows < batch:
		_, err = in.tx.ExecContext(in.ctx, in.statement(rows), in.values...)
		return err
	case in.full == nil:
		if in.full, err = in.tx.PrepareContext(in.ctx, in.statement(batch)); err != nil {
			return err
		}
	}
	_, err = in.full.ExecContext(in.ctx, in.values...)
	return err
}

func (in *inserter) statement(rows int) string {
	row := "(?" + strings.Repeat(",?", in.columns-1) + ")"
	return "INSERT INTO " + in.table + " VALUES " + row + strings.Repeat(","+row, rows-1)
}
