// Shop is a guest: a shop's HTTP interface, in JSON, over a database.
//
//	GET /products?page=P   the products of page P, from 1
//	GET /products/ID       one of them
//	POST /cart/add         {"user","product","quantity"} adds to a cart
//	GET /cart?user=U       what is in a cart
//	POST /checkout         {"user"} orders what is in a cart
//
// What it refuses has a status from 400 on and an "error".
package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

// A refusal is an error of the client's.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

var (
	errNoPath    = &refusal{404, "no such path"}
	errNoProduct = &refusal{404, "no such product"}
)

func serve(dst []byte, r web.Request) (status int, contentType string, answer []byte) {
	status = 200
	result, err := route(r)
	if err != nil {
		status, result = 500, failure{err.Error()}
		if r := new(refusal); errors.As(err, &r) {
			status = r.status
		}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return 500, "text/plain", append(dst, err.Error()...)
	}
	return status, "application/json", append(dst, text...)
}

type failure struct {
	Error string `json:"error"`
}

// route has the request done by the function for its path and method.
func route(r web.Request) (result any, err error) {
	path, query, _ := strings.Cut(r.Target, "?")
	method, handle := "GET", func() (any, error) { return nil, errNoPath }
	switch path {
	case "/products":
		handle = func() (any, error) { return number(query, "page", listProducts) }
	case "/cart":
		handle = func() (any, error) { return number(query, "user", viewCart) }
	case "/cart/add":
		method, handle = "POST", func() (any, error) { return document(r.Body, addToCart) }
	case "/checkout":
		method, handle = "POST", func() (any, error) { return document(r.Body, checkout) }
	default:
		if id, ok := strings.CutPrefix(path, "/products/"); ok {
			handle = func() (any, error) { return getProduct(id) }
		}
	}
	if r.Method != method {
		return nil, &refusal{405, "want " + method}
	}
	return handle()
}

// number calls do with the parameter of that name, a number from 1 on.
func number[T any](query, name string, do func(int64) (T, error)) (result any, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, &refusal{400, err.Error()}
	}
	n, ok := positive(values.Get(name))
	if !ok {
		return nil, &refusal{400, name + ": want a number from 1 on"}
	}
	return do(n)
}

// positive returns the number that is all of s, and whether there is one from 1 on.
func positive(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int64(n), err == nil && n > 0
}

// document calls do with what the body of a request is.
func document[Q, T any](body []byte, do func(Q) (T, error)) (result any, err error) {
	var q Q
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &refusal{400, err.Error()}
	}
	return do(q)
}

func init() { driver.RegisterWeb(serve) }

func main() { driver.Main() }
