package workload

import (
	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// StoreProducts is how many products DB and Shop expect in a database, as
// store.Create makes it by default.
const StoreProducts = 100_000

// DB answers with one row of a table of StoreProducts rows as JSON, which it looks up
// by an index: it is Web and Stored, in Go alone. Its database, in the directory dir,
// is one that store.Create has made; it changes nothing there.
//
// Its Exchanges are every twentieth row, so that they meet every page of the table and
// nearly every one of the index. These are 6.6 MB, which the operating system has in
// memory after a round; each connection of package store keeps 2 MB of them, so most
// lookups read a page or two by a system call, and none from a disk.
func DB(l Language, dir string) *Guest {
	const (
		rows = StoreProducts / 20
		step = 61_803 // has no divisor in common with StoreProducts: one that follows is far off
	)
	exchanges := make([]Exchange, rows)
	for i := range exchanges {
		id := 1 + i*step%StoreProducts
		exchanges[i] = get("/products/"+shop.ProductOf(id).SKU, shop.RowAnswer(nil, id))
	}
	return newStored("db", l, dir, exchanges)
}

// newStored returns a guest that is Web and Stored.
func newStored(name string, l Language, dir string, exchanges []Exchange) *Guest {
	g := newWeb(name, l, "application/json", exchanges)
	g.stored, g.modules, g.mount = true, []Form{Executable, Server}, dir
	return g
}
