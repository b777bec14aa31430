// Webapi is a guest: the request is the number of a product, the answer the
// product as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
)

const products = 4096

var (
	materials = []string{"Oak", "Steel", "Linen", "Glass", "Cork", "Wool", "Slate", "Brass"}
	things    = []string{"lamp", "chair", "shelf", "bowl", "clock", "rug", "tray", "stool"}
	tags      = []string{"new", "sale", "garden", "kitchen", "office", "gift", "outdoor", "bedroom"}
	words     = []string{"a", "light", "and", "sturdy", "piece", "for", "every", "room", "made", "by", "hand", "in", "small", "series", "with", "care"}
)

type product struct {
	ID          uint32   `json:"id"`
	Name        string   `json:"name"`
	Price       uint32   `json:"price"`
	Stock       uint32   `json:"stock"`
	Tags        []string `json:"tags"`
	Description string   `json:"description"`
}

func makeProduct(id uint32) product {
	seed := id * 32
	tag := number.Scatter(seed + 28)
	description := make([]string, 24)
	for i := range description {
		description[i] = words[number.Scatter(seed+uint32(i))%16]
	}
	return product{
		ID:          id,
		Name:        fmt.Sprintf("%s %s %d", materials[number.Scatter(seed+24)%8], things[number.Scatter(seed+25)%8], id),
		Price:       100 + number.Scatter(seed+26)%50000,
		Stock:       number.Scatter(seed+27) % 1000,
		Tags:        []string{tags[tag%8], tags[(tag+1+number.Scatter(seed+29)%7)%8]},
		Description: strings.Join(description, " "),
	}
}

var catalogue = sync.OnceValue(func() []product {
	all := make([]product, products)
	for id := range all {
		all[id] = makeProduct(uint32(id))
	}
	return all
})

func answer(dst, request []byte) []byte {
	all := catalogue()
	id, ok := number.Parse(request, products)
	if !ok {
		return append(dst, "no such product"...)
	}
	text, err := json.Marshal(&all[id])
	if err != nil {
		return append(dst, err.Error()...)
	}
	return append(dst, text...)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
