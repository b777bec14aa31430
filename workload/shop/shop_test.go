package shop_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload/shop"
)

func TestProducts(t *testing.T) {
	// As they were when the first databases were made: a change is one of all of them.
	for id, want := range map[int]shop.Product{
		1:       {ID: 1, SKU: "sku-5d139822", Name: "Oak bowl 1", Price: 15318},
		100_000: {ID: 100_000, SKU: "sku-b8c910af", Name: "Oak chair 100000", Price: 34851},
	} {
		if got := shop.ProductOf(id); got != want {
			t.Errorf("product %d is %+v, want %+v", id, got, want)
		}
	}
	skus := map[string]int{}
	for id := 1; id <= 200_000; id++ {
		sku := shop.ProductOf(id).SKU
		if skus[sku] != 0 {
			t.Fatalf("products %d and %d have the SKU %s", skus[sku], id, sku)
		}
		skus[sku] = id
	}
}

func TestCarts(t *testing.T) {
	for _, d := range []shop.Data{{Products: 2, Carts: 100}, {Products: 100_000, Carts: 1000}} {
		for user := 1; user <= d.Carts; user++ {
			lines := d.Cart(user)
			if len(lines) != 2 || lines[0].Product < 1 || lines[0].Product >= lines[1].Product || lines[1].Product > d.Products {
				t.Fatalf("of %d products user %d has %+v", d.Products, user, lines)
			}
			for _, l := range lines {
				if l.Quantity < 1 || l.Quantity > 3 {
					t.Fatalf("user %d has %+v", user, lines)
				}
			}
		}
		for _, user := range []int{-1, 0, d.Carts + 1} {
			if lines := d.Cart(user); lines != nil {
				t.Errorf("user %d has %+v", user, lines)
			}
		}
	}
}

// What is compared as bytes is JSON of what it should be.
func TestAnswersAreJSON(t *testing.T) {
	d := shop.Data{Products: 45}
	if d.Pages() != 3 {
		t.Errorf("%d pages, want 3", d.Pages())
	}
	for page, want := range map[int]int{1: 20, 3: 5, 4: 0} {
		var list struct {
			Page     int
			Products []struct {
				ID, Price int
				Name      string
			}
		}
		if err := json.Unmarshal(d.ListAnswer(nil, page), &list); err != nil || list.Page != page || len(list.Products) != want {
			t.Fatalf("page %d: %+v, %v", page, list, err)
		}
		for i, p := range list.Products {
			if id := (page-1)*20 + i + 1; p.ID != id || p.Name != shop.ProductOf(id).Name || int64(p.Price) != shop.ProductOf(id).Price {
				t.Errorf("page %d has %+v at %d", page, p, i)
			}
		}
	}
	for id := 1; id < 3; id++ {
		want := shop.ProductOf(id)
		for _, text := range [][]byte{shop.ProductAnswer([]byte(" "), id), shop.RowAnswer([]byte(" "), id)} {
			var got shop.Product
			if err := json.Unmarshal(text, &got); err != nil || got != want {
				t.Errorf("%s, want %+v: %v", text, want, err)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []shop.Options{
		{},
		{Endpoint: "buy"},
		{Endpoint: shop.List, First: -1},
		{Endpoint: shop.List, Data: shop.Data{Products: 1}},
		{Endpoint: shop.Checkout},
		{Endpoint: shop.ViewCart, Data: shop.Data{Carts: 5}, First: 5},
	} {
		if s, err := shop.New(o); err == nil {
			t.Errorf("%+v is taken for %+v", o, s)
		}
	}
}

// A scenario comes from another process as JSON.
func TestOptionsAreJSON(t *testing.T) {
	want := shop.Options{Data: shop.Data{Products: 1, Carts: 2, Stock: 3}, Endpoint: shop.Mix, First: 4, Seed: 5}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got shop.Options
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("%s is %+v, %v", b, got, err)
	}
}

// A visitor has a user's requests parsed and answers them itself.
type visitor struct {
	t *testing.T
	*shop.User
}

func visit(t *testing.T, o shop.Options) visitor {
	t.Helper()
	s, err := shop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return visitor{t, s.User(0)}
}

// next returns the next request as a line.
func (v visitor) next() string {
	v.t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(v.Next(nil, "a host:1")))))
	if err != nil {
		v.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Host != "a host:1" || int64(len(body)) != r.ContentLength {
		v.t.Fatalf("%+v with %q, %v", r, body, err)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, body))
}

func (v visitor) right(answer string) {
	v.t.Helper()
	if err := v.Check(200, []byte(answer), true); err != nil {
		v.t.Error(err)
	}
}

func (v visitor) wrong(status int, answer string) {
	v.t.Helper()
	err := v.Check(status, []byte(answer), false)
	if w := new(shop.WrongAnswer); !errors.As(err, &w) || w.Status != status || string(w.Got) != answer {
		v.t.Errorf("%d %s: %v", status, answer, err)
	}
}

// The mix goes through a purchase again and again, of one user, until that is in doubt.
func TestMix(t *testing.T) {
	d := shop.Data{Products: 2, Carts: 10}
	v := visit(t, shop.Options{Data: d, Endpoint: shop.Mix, First: 5})
	buy := func(user int) {
		t.Helper()
		if got := v.next(); got != "GET /products?page=1" {
			t.Fatal(got)
		}
		v.right(string(shop.Data{Products: 2}.ListAnswer(nil, 1)))
		var id int
		if _, err := fmt.Sscanf(v.next(), "GET /products/%d", &id); err != nil {
			t.Fatal(err)
		}
		v.right(string(shop.ProductAnswer(nil, id)))
		add, view, checkout := v.next(), v.next(), v.next() // with pipelining
		price := shop.ProductOf(id).Price
		for got, want := range map[string]string{
			add:      fmt.Sprintf(`POST /cart/add {"user":%d,"product":%d,"quantity":1}`, user, id),
			view:     fmt.Sprintf(`GET /cart?user=%d`, user),
			checkout: fmt.Sprintf(`POST /checkout {"user":%d}`, user),
		} {
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		v.right(fmt.Sprintf(`{"user":%d,"product":%d,"quantity":1}`, user, id))
		v.right(fmt.Sprintf(`{"user":%d,"lines":[{"product":%d,"quantity":1,"price":%d}],"total":%d}`, user, id, price, price))
		v.right(fmt.Sprintf(`{"order":17,"user":%d,"lines":1,"total":%d}`, user, price))
	}
	buy(16)
	buy(16)
	v.next()
	v.Failed()
	buy(17)
	v.next()
	v.wrong(500, `{"error":"no"}`)
	buy(18)
}

func TestAddCart(t *testing.T) {
	v := visit(t, shop.Options{Data: shop.Data{Products: 3, Carts: 10}, Endpoint: shop.AddCart})
	for round := 1; round <= 3; round++ {
		seen := map[string]bool{}
		for range 3 {
			request := v.next()
			body, ok := strings.CutPrefix(request, `POST /cart/add `)
			if !ok || seen[body] || !strings.Contains(body, `"user":11,`) {
				t.Fatalf("%s after %v", request, seen)
			}
			seen[body] = true
			v.right(strings.Replace(body, `"quantity":1}`, fmt.Sprintf(`"quantity":%d}`, round), 1))
		}
	}
	v.next()
	v.wrong(200, `{"user":11,"product":1,"quantity":1}`)
	if request := v.next(); !strings.Contains(request, `"user":12,`) {
		t.Errorf("after what is in doubt: %s", request)
	}
}

func TestViewCart(t *testing.T) {
	d := shop.Data{Products: 30, Carts: 10}
	v := visit(t, shop.Options{Data: d, Endpoint: shop.ViewCart, First: 9})
	if request := v.next(); request != "GET /cart?user=10" {
		t.Fatal(request)
	}
	a, b := d.Cart(10)[0], d.Cart(10)[1]
	pa, pb := shop.ProductOf(a.Product).Price, shop.ProductOf(b.Product).Price
	v.right(fmt.Sprintf(`{"user":10,"lines":[{"product":%d,"quantity":%d,"price":%d},{"product":%d,"quantity":%d,"price":%d}],"total":%d}`,
		a.Product, a.Quantity, pa, b.Product, b.Quantity, pb, a.Quantity*pa+b.Quantity*pb))
	v.next()
	v.wrong(200, `{"user":10,"lines":[],"total":0}`)
}

func TestCheckout(t *testing.T) {
	d := shop.Data{Products: 30, Carts: 6}
	v := visit(t, shop.Options{Data: d, Endpoint: shop.Checkout, First: 1})
	after := func(user int) string {
		var total int64
		for _, l := range d.Cart(user) {
			total += l.Quantity * shop.ProductOf(l.Product).Price
		}
		return fmt.Sprintf(`,"user":%d,"lines":2,"total":%d}`, user, total)
	}
	for user := 2; user <= 6; user++ {
		if request := v.next(); request != fmt.Sprintf(`POST /checkout {"user":%d}`, user) {
			t.Fatal(request)
		}
	}
	v.right(`{"order":1` + after(2))
	v.right(`{"order":9876543210` + after(3))
	v.wrong(200, `{"order":0`+after(4))
	v.wrong(200, `{"order":`+after(5))
	v.wrong(409, `{"order":1`+after(6))
	v.next()
	if err := v.Check(409, []byte(`{"error":"the cart is empty"}`), true); !errors.Is(err, shop.ErrUsedUp) || !strings.Contains(err.Error(), "more than 6") {
		t.Errorf("without a cart: %v", err)
	}
	if err := v.Check(200, nil, true); err == nil {
		t.Error("a response to no request is right")
	}
	v.Failed() // of nothing, which is nothing
}

// Who asks one thing after the other has orders with ever larger numbers.
func TestOrdersAreNew(t *testing.T) {
	d := shop.Data{Products: 30, Carts: 100}
	v := visit(t, shop.Options{Data: d, Endpoint: shop.Checkout})
	user := 0
	answer := func(order int) string {
		user++
		lines := d.Cart(user)
		total := lines[0].Quantity*shop.ProductOf(lines[0].Product).Price + lines[1].Quantity*shop.ProductOf(lines[1].Product).Price
		return fmt.Sprintf(`{"order":%d,"user":%d,"lines":2,"total":%d}`, order, user, total)
	}
	old := func(order int) {
		t.Helper()
		if err := v.Check(200, []byte(answer(order)), true); err == nil || !strings.Contains(err.Error(), "is not after") {
			t.Errorf("order %d: %v", order, err)
		}
	}
	v.next()
	v.right(answer(5))
	v.next()
	old(5)
	v.next()
	old(4)
	v.next()
	v.right(answer(6))
	// At once: the server chooses.
	v.next()
	v.next()
	v.next()
	v.right(answer(9))
	v.right(answer(8))
	v.right(answer(7))
	v.next()
	old(9)
	v.next()
	v.right(answer(10))
}

// A request that fails makes those that are under way with it doubtful, and no more of
// the shop's users are taken for them than one.
func TestOneFailureTakesOneUser(t *testing.T) {
	v := visit(t, shop.Options{Data: shop.Data{Products: 100}, Endpoint: shop.AddCart})
	var answers []string
	ask := func() {
		t.Helper()
		body, _ := strings.CutPrefix(v.next(), "POST /cart/add ")
		answers = append(answers, body)
	}
	for range 4 {
		ask()
	}
	answer := func() string {
		a := answers[0]
		answers = answers[1:]
		return a
	}
	v.right(answer())
	v.Failed()
	answer()
	err := v.Check(409, []byte(answer()), true)
	if w := new(shop.WrongAnswer); !errors.As(err, &w) || !w.Doubtful {
		t.Errorf("after what failed: %v", err)
	}
	ask() // the next user's, and one before it that is right
	v.right(answer())
	if !strings.Contains(answers[0], `"user":2,`) {
		t.Fatalf("the next user's request is %s", answers[0])
	}
	v.right(answer())
	v.next()
	err = v.Check(409, nil, true)
	if w := new(shop.WrongAnswer); !errors.As(err, &w) || w.Doubtful {
		t.Errorf("what failed at first: %v", err)
	}
	if request := v.next(); !strings.Contains(request, `"user":3,`) {
		t.Errorf("the third user's request is %s", request)
	}
}

// Errors of one kind have one text, with one example, and tell apart what they are of in
// their fields.
func TestErrorsAreCountedTogether(t *testing.T) {
	d := shop.Data{Products: 30, Carts: 4}
	s, err := shop.New(shop.Options{Data: d, Endpoint: shop.Checkout})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]int{}
	var users [2]visitor
	for i := range users {
		users[i] = visitor{t, s.User(i)}
	}
	var wrong []string
	check := func(i, status int, body string) {
		t.Helper()
		users[i%2].next()
		err := users[i%2].Check(status, []byte(body), true)
		if err == nil {
			t.Fatalf("%d %s is right", status, body)
		}
		if w := new(shop.WrongAnswer); errors.As(err, &w) {
			wrong = append(wrong, string(w.Got))
		}
		texts[err.Error()]++
	}
	answer := func(user, order int) string {
		var total int64
		for _, l := range d.Cart(user) {
			total += l.Quantity * shop.ProductOf(l.Product).Price
		}
		return fmt.Sprintf(`{"order":%d,"user":%d,"lines":2,"total":%d}`, order, user, total)
	}
	check(0, 500, "the first")
	check(1, 500, "the second")
	users[0].next()
	users[0].right(answer(3, 7))
	check(0, 200, answer(4, 7))
	if len(texts) != 2 || strings.Join(wrong, ", ") != "the first, the second" {
		t.Errorf("%v of %q", texts, wrong)
	}
	for i := range 20 {
		check(i, 409, fmt.Sprintf(`{"error":"user %d has none"}`, i))
	}
	if len(texts) != 3 {
		t.Errorf("%v", texts)
	}
	for text, says := range map[string]string{"500": "the first", "is not after": "7 of user 4 after 7", shop.ErrUsedUp.Error(): "make it with more than 4"} {
		found := false
		for told := range texts {
			found = found || strings.Contains(told, text) && strings.Contains(told, says)
		}
		if !found {
			t.Errorf("nothing has %q with %q: %v", text, says, texts)
		}
	}
}

// What is right but for one byte, or a byte short or long, is wrong.
func TestEveryByteCounts(t *testing.T) {
	v := visit(t, shop.Options{Endpoint: shop.Get})
	ask := func() string {
		var id int
		if _, err := fmt.Sscanf(v.next(), "GET /products/%d", &id); err != nil {
			t.Fatal(err)
		}
		return string(shop.ProductAnswer(nil, id))
	}
	for i := range 60 { // as long as the shortest
		v.right(ask())
		want := ask()
		v.wrong(200, want[:i])
		want = ask()
		v.wrong(200, want[:i]+"~"+want[i:])
		want = ask()
		v.wrong(200, want[:i]+"~"+want[i+1:])
		v.wrong(201, ask())
	}
}
