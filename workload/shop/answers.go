package shop

import "strconv"

// A writer appends JSON to b. What it is given needs no escapes.
type writer struct{ b []byte }

func (w *writer) text(s string) *writer {
	w.b = append(w.b, s...)
	return w
}

func (w *writer) int(n int64) *writer {
	w.b = strconv.AppendInt(w.b, n, 10)
	return w
}

// ListAnswer appends the right response to GET /products?page=PAGE, pages being
// counted from 1.
func (d Data) ListAnswer(dst []byte, page int) []byte {
	w := &writer{dst}
	w.text(`{"page":`).int(int64(page)).text(`,"products":[`)
	first := (page-1)*PageSize + 1
	for id := first; id < first+PageSize && id <= d.Products; id++ {
		if id > first {
			w.text(",")
		}
		p := ProductOf(id)
		w.text(`{"id":`).int(int64(id)).text(`,"name":"`).text(p.Name).text(`","price":`).int(p.Price).text("}")
	}
	return w.text("]}").b
}

// Pages returns how many pages the list of products has.
func (d Data) Pages() int { return (d.Products + PageSize - 1) / PageSize }

// ProductAnswer appends the right response to GET /products/ID of a product that
// is not sold out.
func ProductAnswer(dst []byte, id int) []byte {
	w := &writer{dst}
	p := ProductOf(id)
	w.text(`{"id":`).int(int64(id)).text(`,"sku":"`).text(p.SKU).text(`","name":"`).text(p.Name)
	return w.text(`","price":`).int(p.Price).text(`,"available":true}`).b
}

// RowAnswer appends the right response of the guest db to GET /products/SKU of
// the product with that number.
func RowAnswer(dst []byte, id int) []byte {
	w := &writer{dst}
	p := ProductOf(id)
	w.text(`{"id":`).int(int64(id)).text(`,"sku":"`).text(p.SKU).text(`","name":"`).text(p.Name)
	return w.text(`","price":`).int(p.Price).text("}").b
}

// addAnswer appends the right response to POST /cart/add that makes the line of a
// cart what it is.
func addAnswer(dst []byte, user int, l Line) []byte {
	w := &writer{dst}
	w.text(`{"user":`).int(int64(user)).text(`,"product":`).int(int64(l.Product))
	return w.text(`,"quantity":`).int(l.Quantity).text("}").b
}

// cartAnswer appends the right response to GET /cart?user=USER.
func cartAnswer(dst []byte, user int, lines []Line) []byte {
	w := &writer{dst}
	w.text(`{"user":`).int(int64(user)).text(`,"lines":[`)
	for i, l := range lines {
		if i > 0 {
			w.text(",")
		}
		w.text(`{"product":`).int(int64(l.Product)).text(`,"quantity":`).int(l.Quantity)
		w.text(`,"price":`).int(ProductOf(l.Product).Price).text("}")
	}
	return w.text(`],"total":`).int(total(lines)).text("}").b
}

// checkoutAnswer appends what follows the number of the order in the right
// response to POST /checkout.
func checkoutAnswer(dst []byte, user int, lines []Line) []byte {
	w := &writer{dst}
	w.text(`,"user":`).int(int64(user)).text(`,"lines":`).int(int64(len(lines)))
	return w.text(`,"total":`).int(total(lines)).text("}").b
}

// total returns what is to be paid for the lines.
func total(lines []Line) (cents int64) {
	for _, l := range lines {
		cents += l.Quantity * ProductOf(l.Product).Price
	}
	return cents
}
