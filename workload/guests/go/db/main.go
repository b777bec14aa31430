// Db is a guest: GET /products/SKU gives the product with that SKU as JSON, which it
// looks up by an index of the table.
package main

import (
	"encoding/json"
	"strings"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqldb"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

type product struct {
	ID    int64  `json:"id"`
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
}

func serve(dst []byte, r web.Request) (status int, contentType string, answer []byte) {
	sku, ok := strings.CutPrefix(r.Target, "/products/")
	switch {
	case !ok:
		return 404, "text/plain", append(dst, "want /products/SKU"...)
	case r.Method != "GET":
		return 405, "text/plain", append(dst, "want GET"...)
	}
	rows, err := sqldb.Read("SELECT id, sku, name, price FROM products WHERE sku = ?", sqldb.Text(sku))
	if err != nil {
		return 500, "text/plain", append(dst, err.Error()...)
	}
	if rows.Len() == 0 {
		return 404, "text/plain", append(dst, "no such product"...)
	}
	row := rows.Row(0)
	text, err := json.Marshal(product{ID: row[0].Int, SKU: row[1].Text, Name: row[2].Text, Price: row[3].Int})
	if err != nil {
		return 500, "text/plain", append(dst, err.Error()...)
	}
	return 200, "application/json", append(dst, text...)
}

func init() { driver.RegisterWeb(serve) }

func main() { driver.Main() }
