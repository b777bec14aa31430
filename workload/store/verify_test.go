package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// buy makes an order of the cart of user 1, as the shop does.
var buy = []string{
	"INSERT INTO orders (user, total) SELECT user, sum(quantity * price) FROM carts JOIN products ON id = product WHERE user = 1",
	`INSERT INTO order_lines SELECT (SELECT max(orders.id) FROM orders), product, quantity, price FROM carts JOIN products ON products.id = product WHERE user = 1`,
	"UPDATE products SET stock = stock - (SELECT quantity FROM carts WHERE user = 1 AND product = products.id) WHERE id IN (SELECT product FROM carts WHERE user = 1)",
	"DELETE FROM carts WHERE user = 1",
}

func TestVerify(t *testing.T) {
	o := store.Options{Products: 50, Carts: 20, Stock: 10}
	for what, test := range map[string]struct {
		but       int // the statement of buy that is forgotten, from 1; -1: all
		then      string
		confirmed int
		says      string
	}{
		"nothing":                      {but: -1},
		"right":                        {confirmed: 1},
		"an order that was lost":       {confirmed: 2, says: "1, but 2 were confirmed"},
		"an order without lines":       {but: 2, says: "orders with lines: 0, want 1"},
		"what is sold is in stock":     {but: 3, says: "in stock and sold"},
		"a cart that is still full":    {but: 4, says: "lines in the carts"},
		"a cart bought twice":          {then: "INSERT INTO orders (user, total) VALUES (1, 0)", says: "lines in the carts"},
		"another price":                {then: "UPDATE order_lines SET price = price + 1", says: "cents"},
		"another total":                {then: "UPDATE orders SET total = 1", says: "cents"},
		"a product that is gone":       {then: "DELETE FROM products WHERE id NOT IN (SELECT product FROM carts UNION SELECT product FROM order_lines)", says: "products"},
		"a cart of a user beyond them": {then: "INSERT INTO carts VALUES (21, 1, 1)"},
	} {
		t.Run(what, func(t *testing.T) {
			path := create(t, o)
			c := connect(t, open(t, path))
			for i, statement := range buy {
				// Without its order, a line is one of none.
				if test.but == i+1 && i == 0 {
					c.do(sqlwire.Write, "UPDATE products SET stock = stock - 1 WHERE id = 1")
					test.says = "in stock and sold"
					break
				}
				if test.but >= 0 && test.but != i+1 {
					c.do(sqlwire.Write, statement)
				}
			}
			if test.then != "" {
				c.do(sqlwire.Write, test.then)
			}
			err := store.Verify(t.Context(), path, o, test.confirmed)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want one that says %q", err, test.says)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Verify(ended, create(t, o), o, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
	if err := store.Verify(t.Context(), t.TempDir()+"/none", o, 0); err == nil {
		t.Error("there is no database, and that is right")
	}
}
