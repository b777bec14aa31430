// Order is a guest: the request is an order as a JSON document, the answer the same
// order with the number and the sum of its items. It is decoded into records and
// encoded from these.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/request"
)

type customer struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type item struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
	Cents    int64  `json:"cents"`
}

type order struct {
	ID       int64    `json:"id"`
	Customer customer `json:"customer"`
	Items    []item   `json:"items"`
	Note     string   `json:"note"`
}

type receipt struct {
	order
	Count int   `json:"count"`
	Total int64 `json:"total"`
}

func between(n, most int64) bool { return n >= 1 && n <= most }

// flaw returns the error about what the order lacks, or nil.
func (o *order) flaw() error {
	const most = 999_999_999_999_999
	switch {
	case !between(o.ID, most):
		return fmt.Errorf("id: want an integer from 1 to %d", most)
	case !between(o.Customer.ID, most):
		return fmt.Errorf("customer.id: want an integer from 1 to %d", most)
	case o.Customer.Name == "":
		return errors.New("customer.name: want a text")
	case o.Customer.Email == "":
		return errors.New("customer.email: want a text")
	case !between(int64(len(o.Items)), 1000):
		return errors.New("items: want 1 to 1000")
	}
	for n := range o.Items {
		if err := o.Items[n].flaw(); err != nil {
			return fmt.Errorf("items[%d].%w", n, err)
		}
	}
	return nil
}

func (i *item) flaw() error {
	switch {
	case i.SKU == "":
		return errors.New("sku: want a text")
	case i.Name == "":
		return errors.New("name: want a text")
	case !between(i.Quantity, 10_000):
		return errors.New("quantity: want an integer from 1 to 10000")
	case !between(i.Cents, 100_000_000):
		return errors.New("cents: want an integer from 1 to 100000000")
	}
	return nil
}

func decode(document []byte) (*order, error) {
	if !utf8.Valid(document) {
		return nil, errors.New("want UTF-8")
	}
	o := new(order)
	err := json.Unmarshal(document, o)
	if s := new(json.SyntaxError); errors.As(err, &s) {
		err = fmt.Errorf("byte %d: %w", s.Offset, err)
	}
	if err != nil {
		return nil, err
	}
	return o, o.flaw()
}

func answer(dst, document []byte) []byte {
	o, err := decode(document)
	if err != nil {
		return request.Fail(dst, err)
	}
	r := receipt{order: *o, Count: len(o.Items)}
	for _, i := range o.Items {
		r.Total += i.Quantity * i.Cents
	}
	to := bytes.NewBuffer(dst)
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	if err := e.Encode(&r); err != nil {
		return request.Fail(dst, err)
	}
	return bytes.TrimSuffix(to.Bytes(), []byte("\n"))
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
