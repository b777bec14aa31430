// Package shop is what a client knows about the shop that the guest shop keeps:
// what is in a new database, and what the right response is to each of the
// requests that a Scenario makes.
package shop

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Data are what a new database holds. The zero value of Products and of Stock is
// the default.
type Data struct {
	Products int   `json:"products"` // with the numbers from 1 on; 100,000 by default, 2 at least, 10,000,000 at most
	Carts    int   `json:"carts"`    // users, from 1 on, that have a cart with two products, 10,000,000 at most
	Stock    int64 `json:"stock"`    // of each product; 1,000,000 by default
}

// PageSize is how many products the shop lists on a page.
const PageSize = 20

// WithDefaults returns d with its defaults filled in, or an error that names what
// cannot be.
func (d Data) WithDefaults() (Data, error) {
	d.Products = cmp.Or(d.Products, 100_000)
	d.Stock = cmp.Or(d.Stock, 1_000_000)
	const most = 10_000_000
	switch {
	case d.Products < 2 || d.Products > most:
		return d, fmt.Errorf("shop: %d products are not between 2 and %d", d.Products, most)
	case d.Carts < 0 || d.Carts > most:
		return d, fmt.Errorf("shop: %d carts are not between 0 and %d", d.Carts, most)
	case d.Stock < 0:
		return d, errors.New("shop: a stock is not negative")
	}
	return d, nil
}

// A Product is one of the shop's. Its price is in cents.
type Product struct {
	ID    int
	SKU   string
	Name  string
	Price int64
}

var (
	materials = strings.Fields("Oak Steel Linen Glass Cork Wool Slate Brass")
	things    = strings.Fields("lamp chair shelf bowl clock rug tray stool")
)

// ProductOf returns the product with that number. No two have the same SKU, and
// the order of these is not that of the numbers.
func ProductOf(id int) Product {
	n := scatter(uint32(id))
	return Product{
		ID:    id,
		SKU:   "sku-" + hex.EncodeToString(binary.BigEndian.AppendUint32(nil, n)),
		Name:  materials[n>>8&7] + " " + things[n>>16&7] + " " + strconv.Itoa(id),
		Price: 100 + int64(n%50_000),
	}
}

// A Line is one of a cart.
type Line struct {
	Product  int
	Quantity int64
}

// Cart returns what a user has in the cart of a new database, by product.
func (d Data) Cart(user int) []Line {
	if user < 1 || user > d.Carts {
		return nil
	}
	draw := func(i uint32) int { return int(scatter(uint32(user)*4 + i)) }
	a := draw(0) % d.Products
	b := (a + 1 + draw(1)%(d.Products-1)) % d.Products
	return []Line{
		{Product: 1 + min(a, b), Quantity: 1 + int64(draw(2)%3)},
		{Product: 1 + max(a, b), Quantity: 1 + int64(draw(3)%3)},
	}
}

// scatter returns another number for each n that looks like a random one.
func scatter(n uint32) uint32 {
	n *= 0x9e3779b1
	n ^= n >> 15
	n *= 0x85ebca77
	return n ^ n>>13
}
