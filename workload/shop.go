package workload

import (
	"fmt"

	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

// Shop is a shop's HTTP interface over a database: products in pages and alone, carts,
// and orders, each a transaction. It is Web and Stored, in Go alone. Its database, in
// the directory dir, is one that store.Create has made with StoreProducts products and
// stock of each; its Exchanges change nothing there, unlike a Scenario of package
// shop.
func Shop(l Language, dir string) *Guest {
	const each = 100
	data := shop.Data{Products: StoreProducts}
	var exchanges []Exchange
	for i := range uint32(each) {
		page, id := 1+int(scatter(2*i))%data.Pages(), 1+int(scatter(2*i+1)%StoreProducts)
		exchanges = append(exchanges,
			get(fmt.Sprintf("/products/%d", id), shop.ProductAnswer(nil, id)),
			get(fmt.Sprintf("/products?page=%d", page), data.ListAnswer(nil, page)))
	}
	return newStored("shop", l, dir, exchanges)
}
