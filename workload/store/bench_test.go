package store_test

import (
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

func BenchmarkSession(b *testing.B) {
	c := connect(b, open(b, create(b, store.Options{Products: 1000})))
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			c.do(sqlwire.Read, "SELECT name FROM products WHERE id = ?", number(7))
		}
	})
	b.Run("transaction", func(b *testing.B) {
		for b.Loop() {
			c.do(sqlwire.Begin, "")
			c.do(sqlwire.Commit, "")
		}
	})
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			c.do(sqlwire.Write, "UPDATE products SET stock = stock - 1 WHERE id = ?", number(7))
		}
	})
}

func BenchmarkCreate(b *testing.B) {
	for b.Loop() {
		create(b, store.Options{Carts: 200_000})
	}
}

func BenchmarkVerify(b *testing.B) {
	o := store.Options{Carts: 200_000}
	path := create(b, o)
	c := connect(b, open(b, path))
	for _, statement := range []string{
		"INSERT INTO orders (user, total) SELECT user, sum(quantity * price) FROM carts JOIN products ON id = product WHERE user <= 50000 GROUP BY user",
		"INSERT INTO order_lines SELECT orders.id, product, quantity, products.price FROM orders JOIN carts ON carts.user = orders.user JOIN products ON products.id = product",
		"UPDATE products SET stock = stock - s FROM (SELECT product, sum(quantity) AS s FROM order_lines GROUP BY product) AS o WHERE id = o.product",
		"DELETE FROM carts WHERE user <= 50000",
	} {
		c.do(sqlwire.Write, statement)
	}
	for b.Loop() {
		if err := store.Verify(b.Context(), path, o, 50_000); err != nil {
			b.Fatal(err)
		}
	}
}
