package workload_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// stored makes a database in a new directory.
func stored(t *testing.T, o store.Options) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := store.Create(t.Context(), filepath.Join(dir, workload.StoreFile), o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// few is how many products a database has that is made in little time.
const few = 5000

// within returns those of a guest's exchanges that are about the first few products.
func within(t *testing.T, g *workload.Guest) (some []workload.Exchange) {
	t.Helper()
	for _, e := range g.Exchanges() {
		var about struct{ ID, Page int }
		if err := json.Unmarshal(e.Answer, &about); err != nil {
			t.Fatal(err)
		}
		if about.ID <= few && about.Page*shop.PageSize <= few {
			some = append(some, e)
		}
	}
	if len(some) < 5 {
		t.Fatalf("%s: %d exchanges are about the first %d products", g.Name(), len(some), few)
	}
	return some
}

func TestStoredServersAnswer(t *testing.T) {
	dir := stored(t, store.Options{Products: few})
	for _, g := range []*workload.Guest{workload.DB(workload.Go, dir), workload.Shop(workload.Go, dir)} {
		address := serve(t, g)
		for _, e := range within(t, g) {
			if status, body := ask(t, address, e.Method, e.Target, string(e.Body)); status != e.Status || body != string(e.Answer) {
				t.Fatalf("%s %s: %d %s, want %d %s", e.Method, e.Target, status, body, e.Status, e.Answer)
			}
		}
	}
}

// The exchanges of db are of different rows, all over the table.
func TestDBExchanges(t *testing.T) {
	seen, parts := map[string]bool{}, map[int]int{}
	for _, e := range workload.DB(workload.Go, t.TempDir()).Exchanges() {
		var row struct{ ID int }
		if err := json.Unmarshal(e.Answer, &row); err != nil {
			t.Fatal(err)
		}
		seen[e.Target] = true
		parts[(row.ID-1)/1000]++
	}
	if len(seen) != 5000 || len(parts) != 100 {
		t.Errorf("%d rows of %d thousands, want 5000 of 100", len(seen), len(parts))
	}
	for part, n := range parts {
		if n < 40 || n > 60 {
			t.Errorf("%d rows from %d on, want 50", n, part*1000+1)
		}
	}
}

// A server that has been started before its database is there answers when it is.
func TestServerBeforeItsDatabase(t *testing.T) {
	dir := t.TempDir()
	address := serve(t, workload.DB(workload.Go, dir))
	target := "/products/" + shop.ProductOf(1).SKU
	if status, body := ask(t, address, "GET", target, ""); status != 500 || !strings.Contains(body, workload.StoreFile) {
		t.Errorf("without a database: %d %s", status, body)
	}
	if err := store.Create(t.Context(), filepath.Join(dir, workload.StoreFile), store.Options{Products: 10}); err != nil {
		t.Fatal(err)
	}
	if status, body := ask(t, address, "GET", target, ""); status != 200 || body != string(shop.RowAnswer(nil, 1)) {
		t.Errorf("with one: %d %s", status, body)
	}
}

func TestShopRefuses(t *testing.T) {
	const products = 50
	address := serve(t, workload.Shop(workload.Go, stored(t, store.Options{Products: products})))
	for _, test := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/", "", 404},
		{"GET", "/products/", "", 404},
		{"GET", "/products/0", "", 404},
		{"GET", "/products/51", "", 404},
		{"GET", "/products/1x", "", 404},
		{"GET", "/products/99999999999999999999", "", 404},
		{"POST", "/products/1", "", 405},
		{"GET", "/products", "", 400},
		{"GET", "/products?page=0", "", 400},
		{"GET", "/products?page=-1", "", 400},
		{"GET", "/products?page=%zz", "", 400},
		{"GET", "/cart", "", 400},
		{"GET", "/cart?user=a", "", 400},
		{"GET", "/cart/add", "", 405},
		{"POST", "/cart/add", "", 400},
		{"POST", "/cart/add", `{"user":1,"product":1`, 400},
		{"POST", "/cart/add", `{"user":"1","product":1,"quantity":1}`, 400},
		{"POST", "/cart/add", `{"user":1,"product":1,"quantity":0}`, 400},
		{"POST", "/cart/add", `{"user":1,"product":1,"quantity":-1}`, 400},
		{"POST", "/cart/add", `{"user":1,"product":1,"quantity":1001}`, 400},
		{"POST", "/cart/add", `{"user":1,"product":51,"quantity":1}`, 404},
		{"POST", "/checkout", `[]`, 400},
		{"POST", "/checkout", `{}`, 409},
		{"POST", "/checkout", `{"user":1}`, 409},
		{"GET", "/checkout", "", 405},
	} {
		status, body := ask(t, address, test.method, test.target, test.body)
		if status != test.status || !strings.HasPrefix(body, `{"error":"`) {
			t.Errorf("%s %s %s: %d %s, want %d", test.method, test.target, test.body, status, body, test.status)
		}
	}
	for target, want := range map[string]string{
		"/products?page=4": `{"page":4,"products":[]}`,
		"/cart?user=1":     `{"user":1,"lines":[],"total":0}`,
	} {
		if status, body := ask(t, address, "GET", target, ""); status != 200 || body != want {
			t.Errorf("GET %s: %d %s, want %s", target, status, body, want)
		}
	}
}

func ask(t *testing.T, address, method, target, body string) (status int, answer string) {
	t.Helper()
	status, _, b := exchange(t, address, web.Request{Method: method, Target: target, Body: []byte(body)})
	return status, string(b)
}

// What the shop answers is what the model of package shop says, with requests of each
// endpoint under way at once.
func TestShopIsAsItsModel(t *testing.T) {
	data := shop.Data{Products: 300, Carts: 400}
	address := serve(t, workload.Shop(workload.Go, stored(t, data)))
	const users, rounds, pipelining = 3, 10, 7
	for i, endpoint := range append(shop.Endpoints(), shop.Mix) {
		// Those of AddCart have users of their own, so have those of Mix.
		o := shop.Options{Data: data, Endpoint: endpoint, First: i * 30, Seed: 7}
		if endpoint == shop.ViewCart {
			o.First = 380
		}
		s, err := shop.New(o)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for n := range users {
			wg.Go(func() {
				if _, err := visit(address, s.User(n), rounds, pipelining); err != nil {
					t.Errorf("%s: %v", endpoint, err)
				}
			})
		}
		wg.Wait()
	}
}

// visit makes requests of a user, so many at once, and returns how many were
// answered rightly before an error.
func visit(address string, u *shop.User, rounds, pipelining int) (done int, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range rounds {
		var requests []byte
		for range pipelining {
			requests = u.Next(requests, "shop")
		}
		if _, err := c.Write(requests); err != nil {
			return done, err
		}
		for range pipelining {
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				return done, err
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return done, err
			}
			if err := u.Check(r.StatusCode, body, true); err != nil {
				return done, err
			}
			done++
		}
	}
	return done, nil
}

// Of those who buy one cart at once, at two servers of one database, one does: what
// was read in the transaction is true until its end.
func TestNoCartIsSoldTwice(t *testing.T) {
	const users, attempts = 4, 50
	data := shop.Data{Products: 10, Carts: users, Stock: 1000}
	dir := stored(t, data)
	g := workload.Shop(workload.Go, dir)
	addresses := []string{serve(t, g), serve(t, g)}
	for user := 1; user <= users; user++ {
		var sold atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for n := range attempts {
			wg.Go(func() {
				<-begin
				switch status, body := ask(t, addresses[n%len(addresses)], "POST", "/checkout", fmt.Sprintf(`{"user":%d}`, user)); {
				case status == 200:
					sold.Add(1)
				case status != 409 || body != `{"error":"the cart is empty"}`:
					t.Errorf("checkout: %d %s", status, body)
				}
			})
		}
		close(begin)
		wg.Wait()
		if sold.Load() != 1 {
			t.Errorf("the cart of user %d was sold %d times", user, sold.Load())
		}
	}
	verify(t, dir, data, users)
	if n := query1(t, dir, "SELECT count(*) FROM orders"); n != users {
		t.Errorf("%d orders, want %d", n, users)
	}
}

// verify checks what is in a database after so many checkouts.
func verify(t *testing.T, dir string, data shop.Data, confirmed int) {
	t.Helper()
	if err := store.Verify(t.Context(), filepath.Join(dir, workload.StoreFile), data, confirmed); err != nil {
		t.Error(err)
	}
}

// Many want to buy at once, at two servers of one database, what there is less of.
func TestNoStockIsSoldTwice(t *testing.T) {
	const buyers, stock = 200, 50
	data := shop.Data{Products: 2, Stock: stock}
	dir := stored(t, data)
	g := workload.Shop(workload.Go, dir)
	addresses := []string{serve(t, g), serve(t, g)}
	var sold, refused atomic.Int64
	var wg sync.WaitGroup
	for n := range buyers {
		wg.Go(func() {
			address := addresses[n%len(addresses)]
			if status, body := ask(t, address, "POST", "/cart/add", fmt.Sprintf(`{"user":%d,"product":1,"quantity":1}`, n+1)); status != 200 {
				t.Errorf("adding to a cart: %d %s", status, body)
			}
			switch status, body := ask(t, address, "POST", "/checkout", fmt.Sprintf(`{"user":%d}`, n+1)); {
			case status == 200:
				sold.Add(1)
			case status == 409 && body == `{"error":"product 1 is sold out"}`:
				refused.Add(1)
			default:
				t.Errorf("checkout: %d %s", status, body)
			}
		})
	}
	wg.Wait()
	if sold.Load() != stock || refused.Load() != buyers-stock {
		t.Errorf("%d were sold and %d refused, want %d and %d", sold.Load(), refused.Load(), stock, buyers-stock)
	}
	verify(t, dir, data, stock)
	for query, want := range map[string]int64{
		"SELECT stock FROM products WHERE id = 1": 0,
		"SELECT stock FROM products WHERE id = 2": stock,
		"SELECT count(*) FROM orders":             stock,
		"SELECT sum(quantity) FROM order_lines":   stock,
		"SELECT count(*) FROM carts":              buyers - stock,
	} {
		if got := query1(t, dir, query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}

// query1 returns the number that a query gives.
func query1(t *testing.T, dir, query string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, workload.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An order of which one line is sold out changes nothing of the others.
func TestRefusedOrderIsUndoneWhole(t *testing.T) {
	dir := stored(t, store.Options{Products: 3, Stock: 5})
	address := serve(t, workload.Shop(workload.Go, dir))
	for product, quantity := range map[int]int{1: 5, 2: 6, 3: 1} {
		ask(t, address, "POST", "/cart/add", fmt.Sprintf(`{"user":9,"product":%d,"quantity":%d}`, product, quantity))
	}
	_, before := ask(t, address, "GET", "/cart?user=9", "")
	if strings.Count(before, "product") != 3 {
		t.Fatalf("the cart is %s", before)
	}
	if status, body := ask(t, address, "POST", "/checkout", `{"user":9}`); status != 409 || body != `{"error":"product 2 is sold out"}` {
		t.Errorf("checkout: %d %s", status, body)
	}
	if _, after := ask(t, address, "GET", "/cart?user=9", ""); after != before {
		t.Errorf("the cart is %s, it was %s", after, before)
	}
	if n := query1(t, dir, "SELECT sum(stock) FROM products"); n != 15 {
		t.Errorf("the stock is %d, want 15", n)
	}
	if n := query1(t, dir, "SELECT count(*) FROM orders"); n != 0 {
		t.Errorf("there are %d orders", n)
	}
}

// A server that is killed in the midst of orders leaves all that it has confirmed,
// and nothing by halves.
func TestKilledShop(t *testing.T) {
	data := shop.Data{Products: 100, Carts: 10_000, Stock: 1_000_000}
	dir := stored(t, data)
	path, err := workload.Shop(workload.Go, dir).Artifact(t.Context(), workload.Server)
	skip(t, err)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	address, ended := startIn(t, ctx, dir, path)
	s, err := shop.New(shop.Options{Data: data, Endpoint: shop.Checkout})
	if err != nil {
		t.Fatal(err)
	}
	var confirmed atomic.Int64
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for u := s.User(n); ; {
				done, err := visit(address, u, 1, 4)
				if wrong := new(shop.WrongAnswer); errors.As(err, &wrong) {
					t.Error(err)
				}
				if confirmed.Add(int64(done)) > 200 {
					kill()
				}
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	<-ended
	if n := query1(t, dir, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"); n != 1 {
		t.Error("the database is damaged")
	}
	verify(t, dir, data, int(confirmed.Load()))
	// And another goes on with it.
	next := serve(t, workload.Shop(workload.Go, dir))
	if status, body := ask(t, next, "POST", "/checkout", fmt.Sprintf(`{"user":%d}`, data.Carts)); status != 200 {
		t.Errorf("checkout afterwards: %d %s", status, body)
	}
}

// startIn starts a server in a directory. It is killed when ctx ends.
func startIn(t *testing.T, ctx context.Context, dir, path string) (address string, ended <-chan struct{}) {
	t.Helper()
	// The port could be taken by another before the server has it.
	for range 5 {
		if address, ended, ok := tryIn(t, ctx, dir, path); ok {
			return address, ended
		}
	}
	t.Fatal("the server ends each time that it is started")
	return "", nil
}

func tryIn(t *testing.T, ctx context.Context, dir, path string) (address string, ended <-chan struct{}, ok bool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	cmd := exec.CommandContext(ctx, path, address)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() { <-done })
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			own := c.LocalAddr().String() == address // which nobody has to listen for
			c.Close()
			if !own {
				return address, done, true
			}
		}
		select {
		case <-done:
			return "", nil, false
		case <-time.After(2 * time.Millisecond):
		}
	}
}
