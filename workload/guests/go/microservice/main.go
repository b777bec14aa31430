// Microservice is a guest: the request is the number of a customer, the answer a
// summary of the customer's orders as JSON.
package main

import (
	"encoding/json"
	"strconv"
	"sync"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/number"
)

const (
	orders    = 32768
	customers = 4096
)

var (
	statuses = []string{"new", "paid", "packed", "shipped"}
	streets  = []string{"Station Road", "Mill Lane", "High Street", "Church Walk", "Park Avenue", "Bridge End", "Castle Hill", "Orchard Way"}
	towns    = []string{"Ashford", "Burnley", "Carlisle", "Dorking", "Epsom", "Falmouth", "Grantham", "Hereford"}
	calls    = []string{"ring the bell", "knock twice"}
	places   = []string{"leave it in the porch", "give it to a neighbour"}
	times    = []string{"not before noon", "from six onwards"}
	boxes    = []string{"gift wrapped", "without a box"}
)

type order struct {
	ID       uint32 `json:"id"`
	Day      uint32 `json:"day"`
	Quantity uint32 `json:"quantity"`
	Cents    uint32 `json:"cents"`
	Status   string `json:"status"`
	Address  string `json:"address"`
	Note     string `json:"note"`
}

type summary struct {
	Customer uint32 `json:"customer"`
	Orders   int    `json:"orders"`
	Total    uint32 `json:"total"`
	Last     *order `json:"last"`
}

func makeOrder(id uint32) *order {
	seed := id * 8
	place := number.Scatter(seed + 1)
	quantity := 1 + number.Scatter(seed+2)%9
	return &order{
		ID:       id,
		Day:      id / 32,
		Quantity: quantity,
		Cents:    quantity * (100 + number.Scatter(seed)%5000),
		Status:   statuses[number.Scatter(seed+4)%4],
		Address:  strconv.Itoa(10+int(place%90)) + " " + streets[(place>>8)%8] + ", " + towns[(place>>16)%8],
		Note:     calls[(place>>24)%2] + ", " + places[(place>>25)%2] + ", " + times[(place>>26)%2] + ", " + boxes[(place>>27)%2],
	}
}

// book has the orders of each customer.
var book = sync.OnceValue(func() map[uint32][]*order {
	all := map[uint32][]*order{}
	for id := range uint32(orders) {
		customer := number.Scatter(id*8+3) % customers
		all[customer] = append(all[customer], makeOrder(id))
	}
	return all
})

func answer(dst, request []byte) []byte {
	all := book()
	customer, ok := number.Parse(request, customers)
	if !ok {
		return append(dst, "no such customer"...)
	}
	those := all[customer]
	s := summary{Customer: customer, Orders: len(those)}
	for _, o := range those {
		s.Total += o.Cents
		s.Last = o
	}
	text, err := json.Marshal(s)
	if err != nil {
		return append(dst, err.Error()...)
	}
	return append(dst, text...)
}

func init() { driver.Register(answer) }

func main() { driver.Main() }
