package main

import (
	"fmt"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqldb"
)

const pageSize = 20

type listing struct {
	Page     int64    `json:"page"`
	Products []listed `json:"products"`
}

type listed struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
}

func listProducts(page int64) (listing, error) {
	rows, err := sqldb.Read("SELECT id, name, price FROM products WHERE id > ? ORDER BY id LIMIT ?",
		sqldb.Int((page-1)*pageSize), sqldb.Int(pageSize))
	l := listing{Page: page, Products: make([]listed, rows.Len())}
	for i := range l.Products {
		row := rows.Row(i)
		l.Products[i] = listed{ID: row[0].Int, Name: row[1].Text, Price: row[2].Int}
	}
	return l, err
}

type product struct {
	ID        int64  `json:"id"`
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Price     int64  `json:"price"`
	Available bool   `json:"available"`
}

func getProduct(id string) (product, error) {
	n, ok := positive(id)
	if !ok {
		return product{}, errNoProduct
	}
	rows, err := sqldb.Read("SELECT id, sku, name, price, stock FROM products WHERE id = ?", sqldb.Int(n))
	if err != nil {
		return product{}, err
	}
	if rows.Len() == 0 {
		return product{}, errNoProduct
	}
	row := rows.Row(0)
	return product{ID: row[0].Int, SKU: row[1].Text, Name: row[2].Text, Price: row[3].Int, Available: row[4].Int > 0}, nil
}

// line is of a cart; of what is added to it, the quantity is how many more.
type line struct {
	User     int64 `json:"user"`
	Product  int64 `json:"product"`
	Quantity int64 `json:"quantity"`
}

// most is how many of a product can be added at once.
const most = 1000

func addToCart(l line) (line, error) {
	if l.User < 1 || l.Product < 1 || l.Quantity < 1 || l.Quantity > most {
		return l, &refusal{400, fmt.Sprintf("want a user, a product and a quantity from 1 to %d", most)}
	}
	rows, err := sqldb.Write(`INSERT INTO carts (user, product, quantity) SELECT ?, id, ? FROM products WHERE id = ?
		ON CONFLICT (user, product) DO UPDATE SET quantity = quantity + excluded.quantity RETURNING quantity`,
		sqldb.Int(l.User), sqldb.Int(l.Quantity), sqldb.Int(l.Product))
	if err != nil {
		return l, err
	}
	if rows.Len() == 0 {
		return l, errNoProduct
	}
	l.Quantity = rows.Row(0)[0].Int
	return l, nil
}

type cart struct {
	User  int64      `json:"user"`
	Lines []cartLine `json:"lines"`
	Total int64      `json:"total"`
}

type cartLine struct {
	Product  int64 `json:"product"`
	Quantity int64 `json:"quantity"`
	Price    int64 `json:"price"`
}

const selectCart = `SELECT product, quantity, price FROM carts JOIN products ON products.id = carts.product
	WHERE user = ? ORDER BY product`

func viewCart(user int64) (cart, error) {
	rows, err := sqldb.Read(selectCart, sqldb.Int(user))
	return cartOf(user, rows), err
}

func cartOf(user int64, rows sqldb.Rows) cart {
	c := cart{User: user, Lines: make([]cartLine, rows.Len())}
	for i := range c.Lines {
		row := rows.Row(i)
		c.Lines[i] = cartLine{Product: row[0].Int, Quantity: row[1].Int, Price: row[2].Int}
		c.Total += c.Lines[i].Quantity * c.Lines[i].Price
	}
	return c
}

type buyer struct {
	User int64 `json:"user"`
}

type order struct {
	Order int64 `json:"order"`
	User  int64 `json:"user"`
	Lines int   `json:"lines"`
	Total int64 `json:"total"`
}

// checkout is one transaction: nothing is sold that another buys meanwhile, and a
// cart is ordered whole or stays.
func checkout(b buyer) (o order, err error) {
	err = sqldb.Transact(func(tx sqldb.Tx) error {
		o, err = placeOrder(tx, b.User)
		return err
	})
	return o, err
}

func placeOrder(tx sqldb.Tx, user int64) (o order, err error) {
	rows, err := tx.Run(selectCart, sqldb.Int(user))
	if err != nil {
		return o, err
	}
	c := cartOf(user, rows)
	if len(c.Lines) == 0 {
		return o, &refusal{409, "the cart is empty"}
	}
	for _, l := range c.Lines {
		taken, err := tx.Run("UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ? RETURNING stock",
			sqldb.Int(l.Quantity), sqldb.Int(l.Product), sqldb.Int(l.Quantity))
		if err != nil {
			return o, err
		}
		if taken.Len() == 0 {
			return o, &refusal{409, fmt.Sprintf("product %d is sold out", l.Product)}
		}
	}
	made, err := tx.Run("INSERT INTO orders (user, total) VALUES (?, ?) RETURNING id", sqldb.Int(user), sqldb.Int(c.Total))
	if err != nil {
		return o, err
	}
	o = order{Order: made.Row(0)[0].Int, User: user, Lines: len(c.Lines), Total: c.Total}
	for _, l := range c.Lines {
		_, err := tx.Run(`INSERT INTO order_lines ("order", product, quantity, price) VALUES (?, ?, ?, ?)`,
			sqldb.Int(o.Order), sqldb.Int(l.Product), sqldb.Int(l.Quantity), sqldb.Int(l.Price))
		if err != nil {
			return o, err
		}
	}
	_, err = tx.Run("DELETE FROM carts WHERE user = ?", sqldb.Int(user))
	return o, err
}
