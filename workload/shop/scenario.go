package shop

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// The endpoints that a Scenario can ask alone, and all of them in turn.
const (
	Mix      = "mix"
	List     = "list"
	Get      = "get"
	AddCart  = "addcart"
	ViewCart = "viewcart"
	Checkout = "checkout"
)

// Endpoints returns the names of the endpoints, without Mix.
func Endpoints() []string { return []string{List, Get, AddCart, ViewCart, Checkout} }

// Options say what the users of a Scenario do.
type Options struct {
	// Data are what the database had when it was new.
	Data
	// Endpoint is one of Endpoints, or Mix: each user asks the endpoints in turn,
	// as somebody who lists products, looks at one, puts it into the cart, looks
	// at that and buys.
	Endpoint string `json:"endpoint"`
	// First is how many of the shop's users earlier scenarios on the same database
	// may have been. A virtual user of Checkout is a user of Data.Carts after these
	// at each request, one of ViewCart any of them; in Mix and AddCart each is one
	// that had no cart, and another after each request that failed.
	First int `json:"first"`
	// Seed decides what is asked, of the products and of the carts.
	Seed uint64 `json:"seed"`
}

// A Scenario makes requests to the shop and knows what is right.
type Scenario struct {
	Options
	taken atomic.Int64 // users of the shop that were taken after First
	texts sync.Map     // of errors, by their kind
}

// New returns a Scenario.
func New(o Options) (*Scenario, error) {
	var err error
	if o.Data, err = o.WithDefaults(); err != nil {
		return nil, err
	}
	switch {
	case o.Endpoint != Mix && !slices.Contains(Endpoints(), o.Endpoint):
		return nil, fmt.Errorf("shop: there is no endpoint %q; choose one of %v, or %s", o.Endpoint, Endpoints(), Mix)
	case o.First < 0:
		return nil, fmt.Errorf("shop: the first user %d is negative", o.First)
	case (o.Endpoint == ViewCart || o.Endpoint == Checkout) && o.First >= o.Carts:
		return nil, fmt.Errorf("shop: %s takes carts of the new database after the first %d, of which it has %d: make it with more", o.Endpoint, o.First, o.Carts)
	}
	return &Scenario{Options: o}, nil
}

// take returns the number of the next user after First.
func (s *Scenario) take() int { return s.First + int(s.taken.Add(1)) }

// User returns the nth virtual user, from 0: one of package load.
func (s *Scenario) User(n int) *User {
	u := &User{scenario: s, draw: rand.New(rand.NewPCG(s.Seed, uint64(n)))}
	u.begin()
	return u
}

// A User makes requests one after the other on a connection, and knows the right
// responses to them from what it has asked before. The content of each is checked:
// to know its length would take as long.
type User struct {
	scenario *Scenario
	draw     *rand.Rand
	life     int        // how many users of the shop it has been
	turn     int        // requests since begin
	user     int        // the user of the shop that it is
	product  int        // what it is about to buy, or the first of what it puts into its cart
	due      []expected // what has had no response, the oldest at first
	first    int        // where in due that is
	body     []byte     // of a request
	want     []byte     // a response
	order    int64      // the largest number of one that it made
}

// expected is what the response to a request must be.
type expected struct {
	endpoint string
	life     int  // in which it was asked
	alone    bool // no other was under way
	number   int  // the page, product or user
	lines    [2]Line
	count    int // how many of these there are
}

// begin makes u a user with an empty cart.
func (u *User) begin() {
	u.turn = 0
	u.life++
	if e := u.scenario.Endpoint; e == Mix || e == AddCart {
		u.user = u.scenario.Carts + u.scenario.take()
		u.product = 1 + u.draw.IntN(u.scenario.Products)
	}
}

// inTurn is how many products AddCart puts into a cart before it adds to the first.
const inTurn = 8

// Next appends the next request to dst, an HTTP/1.1 message.
func (u *User) Next(dst []byte, host string) []byte {
	s := u.scenario
	e := expected{endpoint: s.Endpoint, life: u.life, alone: u.first == len(u.due)}
	if e.endpoint == Mix {
		e.endpoint = Endpoints()[u.turn%len(Endpoints())]
	}
	post, path := false, []byte(nil)
	w := &writer{u.body[:0]}
	switch e.endpoint {
	case List:
		e.number = 1 + u.draw.IntN(s.Pages())
		w.text("/products?page=").int(int64(e.number))
	case Get:
		u.product = 1 + u.draw.IntN(s.Products)
		e.number = u.product
		w.text("/products/").int(int64(e.number))
	case AddCart:
		e.number = u.user
		e.add(u.inCart())
		w.text(`{"user":`).int(int64(u.user)).text(`,"product":`).int(int64(e.lines[0].Product)).text(`,"quantity":1}`)
		post, path = true, []byte("/cart/add")
	case ViewCart:
		e.number = u.user
		if s.Endpoint == Mix {
			e.add(u.inCart())
		} else {
			e.number = s.First + 1 + u.draw.IntN(s.Carts-s.First)
			e.add(s.Cart(e.number)...)
		}
		w.text("/cart?user=").int(int64(e.number))
	case Checkout:
		e.number = u.user
		if s.Endpoint == Mix {
			e.add(u.inCart())
		} else {
			e.number = s.take()
			e.add(s.Cart(e.number)...)
		}
		w.text(`{"user":`).int(int64(e.number)).text("}")
		post, path = true, []byte("/checkout")
	}
	u.body = w.b
	u.turn++
	u.due = append(u.due, e)
	if post {
		dst = append(append(append(dst, "POST "...), path...), " HTTP/1.1\r\nHost: "...)
		dst = append(append(dst, host...), "\r\nContent-Type: application/json\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(u.body)), 10)
		return append(append(dst, "\r\n\r\n"...), u.body...)
	}
	dst = append(append(append(dst, "GET "...), u.body...), " HTTP/1.1\r\nHost: "...)
	return append(append(dst, host...), "\r\n\r\n"...)
}

// inCart returns the line of the cart that is in turn.
func (u *User) inCart() Line {
	s := u.scenario
	if s.Endpoint == Mix {
		return Line{Product: u.product, Quantity: 1}
	}
	n := min(inTurn, s.Products)
	return Line{Product: 1 + (u.product+u.turn%n)%s.Products, Quantity: int64(1 + u.turn/n)}
}

func (e *expected) add(lines ...Line) { e.count += copy(e.lines[e.count:], lines) }

// oldest returns what the oldest request without a response must have, which it
// then has had.
func (u *User) oldest() (e expected, ok bool) {
	if u.first == len(u.due) {
		return e, false
	}
	e = u.due[u.first]
	if u.first++; u.first == len(u.due) {
		u.due, u.first = u.due[:0], 0
	}
	return e, true
}

// ErrUsedUp is wrapped by the errors of Check about a checkout for which the database
// had no cart any more: it is refused, which takes a server less time than to do it.
var ErrUsedUp = errors.New("all carts of the database are used up")

// Check is told the response to the oldest request that has had none. It returns a
// *WrongAnswer where that is not the right one, and goes on as another user of the
// shop; where only the number of an order is wrong it returns an *OldOrder. The body is
// not kept. Errors of one kind have one text in a scenario, with the first of them as
// an example.
func (u *User) Check(status int, body []byte, full bool) error {
	e, ok := u.oldest()
	if !ok {
		return errors.New("shop: a response to no request")
	}
	u.want = e.appendTo(u.want[:0], u.scenario.Data)
	got, order := body, int64(0)
	if e.endpoint == Checkout {
		order, got = cutOrder(body)
	}
	if status == 200 && bytes.Equal(got, u.want) {
		return u.checkOrder(e, order)
	}
	if e.endpoint == Checkout && e.count == 0 {
		return fmt.Errorf("shop: %w: make it with more than %d", ErrUsedUp, u.scenario.Carts)
	}
	w := &WrongAnswer{Endpoint: e.endpoint, Status: status, Got: bytes.Clone(body), Want: bytes.Clone(u.want), Doubtful: e.life != u.life}
	w.text = u.scenario.text(w.kind(), w.example())
	u.end(e)
	return w
}

// text returns that of all errors of a kind, with the example of the first of them.
func (s *Scenario) text(kind, example string) string {
	text, _ := s.texts.LoadOrStore(kind, kind+": "+example)
	return text.(string)
}

// checkOrder returns an error if the number of an order is not larger than the one
// before it on this connection; a server may do what is asked at once in any order.
func (u *User) checkOrder(e expected, order int64) error {
	if e.endpoint != Checkout {
		return nil
	}
	last := u.order
	u.order = max(last, order)
	if e.alone && order <= last {
		o := &OldOrder{User: e.number, Order: order, Last: last}
		o.text = u.scenario.text(o.kind(), o.example())
		return o
	}
	return nil
}

// Failed is told that the oldest request without a response will have none: what it
// did to the cart is unknown, so u goes on as another user of the shop.
func (u *User) Failed() {
	if e, ok := u.oldest(); ok {
		u.end(e)
	}
}

// end has u go on as another, if it is still who asked: only the first request of one
// that fails ends it, and those that were under way with it take no other one's place.
func (u *User) end(e expected) {
	if e.life == u.life {
		u.begin()
	}
}

// appendTo appends the body of the right response, with that to Checkout without the
// begin that cutOrder takes.
func (e *expected) appendTo(dst []byte, d Data) []byte {
	lines := e.lines[:e.count]
	switch e.endpoint {
	case List:
		return d.ListAnswer(dst, e.number)
	case Get:
		return ProductAnswer(dst, e.number)
	case AddCart:
		return addAnswer(dst, e.number, lines[0])
	case ViewCart:
		return cartAnswer(dst, e.number, lines)
	}
	return checkoutAnswer(dst, e.number, lines)
}

// cutOrder returns the number of the order, which can be any from 1 on, and what
// follows it; that is nil where there is none.
func cutOrder(body []byte) (order int64, rest []byte) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"order":`))
	if !ok || len(rest) == 0 || rest[0] == '0' {
		return 0, nil
	}
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && order < 1<<59 {
		order = order*10 + int64(rest[0]-'0')
		rest = rest[1:]
	}
	if order == 0 {
		return 0, nil
	}
	return order, rest
}

// A WrongAnswer is a response that is not the right one.
type WrongAnswer struct {
	Endpoint  string
	Status    int
	Got, Want []byte // Want without the number of an order
	Doubtful  bool   // a request of the same user before it had failed, so that this one may be right

	text string // of its kind in the scenario; "" where it is of none
}

func (w *WrongAnswer) Error() string {
	return cmp.Or(w.text, w.kind()+": "+w.example())
}

func (w *WrongAnswer) kind() string {
	kind := "shop: " + w.Endpoint + ": wrong answer with status " + strconv.Itoa(w.Status)
	if w.Doubtful {
		kind += ", which may be right as a request of the same user before it failed"
	}
	return kind
}

func (w *WrongAnswer) example() string {
	return fmt.Sprintf("%.100q, want 200 with %.100q", w.Got, w.Want)
}

// An OldOrder is a checkout whose order has a number that is not above that of one
// before it on the same connection, though no other request was under way there.
type OldOrder struct {
	User        int
	Order, Last int64

	text string // of all in the scenario; "" where it is of none
}

func (o *OldOrder) Error() string { return cmp.Or(o.text, o.kind()+": "+o.example()) }

func (o *OldOrder) kind() string { return "shop: checkout: an order is not after the one before it" }

func (o *OldOrder) example() string {
	return fmt.Sprintf("%d of user %d after %d", o.Order, o.User, o.Last)
}
