package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
)

// Verify returns an error that says what is wrong in the database at path, which was
// made with o and then used by the users of Scenarios of package shop, of whom so many
// had a checkout confirmed at least. It reads all, in a tenth of a second where there
// are 100,000 products and as many orders; servers may go on meanwhile.
func Verify(ctx context.Context, path string, o Options, confirmed int) error {
	o, err := o.WithDefaults()
	if err != nil {
		return err
	}
	t, err := count(ctx, path, o)
	if err == nil {
		err = t.check(o, int64(confirmed))
	}
	if err != nil {
		return fmt.Errorf("store: verifying the database: %w", err)
	}
	return nil
}

// A tally is what is in a database.
type tally struct {
	products, stock        int64
	orders, ofCarts, cents int64 // ofCarts: of users who had a cart at first
	ordered, sold, cost    int64 // orders with lines, and in these pieces and cents
	cartLines              int64 // of users who had a cart at first
}

// count reads what is there at one moment.
func count(ctx context.Context, path string, o Options) (t tally, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return t, err
	}
	if err := regular(path); err != nil {
		return t, err
	}
	db, err := sql.Open("sqlite", source(path, "_query_only=1"))
	if err != nil {
		return t, err
	}
	defer func() {
		err = errors.Join(err, db.Close())
	}()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return t, err
	}
	defer tx.Rollback()
	for _, q := range []struct {
		query string
		args  []any
		into  []any
	}{
		{"SELECT count(*), ifnull(sum(stock), 0) FROM products", nil, []any{&t.products, &t.stock}},
		{"SELECT count(*), count(*) FILTER (WHERE user <= ?), ifnull(sum(total), 0) FROM orders",
			[]any{o.Carts}, []any{&t.orders, &t.ofCarts, &t.cents}},
		{`SELECT count(*), ifnull(sum(pieces), 0), ifnull(sum(cost), 0)
			FROM (SELECT sum(quantity) AS pieces, sum(quantity * price) AS cost FROM order_lines GROUP BY "order")`,
			nil, []any{&t.ordered, &t.sold, &t.cost}},
		// All, which need not be looked at, less the few.
		{"SELECT (SELECT count(*) FROM carts) - (SELECT count(*) FROM carts WHERE user > ?)", []any{o.Carts}, []any{&t.cartLines}},
	} {
		if err := tx.QueryRowContext(ctx, q.query, q.args...).Scan(q.into...); err != nil {
			return t, err
		}
	}
	return t, nil
}

// check returns an error for each rule that is broken.
func (t tally) check(o Options, confirmed int64) error {
	var wrong []error
	equal := func(what string, got, want int64) {
		if got != want {
			wrong = append(wrong, fmt.Errorf("%s: %d, want %d", what, got, want))
		}
	}
	equal("products", t.products, int64(o.Products))
	equal("pieces in stock and sold", t.stock+t.sold, int64(o.Products)*o.Stock)
	equal("orders with lines", t.ordered, t.orders)
	equal("cents of all orders", t.cents, t.cost)
	equal("lines in the carts of users who have bought nothing", t.cartLines, 2*(int64(o.Carts)-t.ofCarts))
	if t.orders < confirmed {
		wrong = append(wrong, fmt.Errorf("orders: %d, but %d were confirmed", t.orders, confirmed))
	}
	return errors.Join(wrong...)
}
