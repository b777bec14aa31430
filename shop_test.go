package wasmbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/measure"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// carts is how many of the shop's users have something in the cart when the store is
// new: each buys it once, in BenchmarkEcommerce/endpoint=checkout, which takes some
// thousands in a second.
func carts() int {
	const each = 10_000 // a second
	return each * int(1+(*flagHTTPWarmup+*flagHTTPTime).Seconds())
}

// buyers is how many of the shop's users one run can take at most, if each request
// failed and had another take over.
func buyers() int { return 1_000_000 }

// template returns the path of a database as it is when the shop opens, which the
// user's cache keeps.
var template = sync.OnceValues(func() (string, error) {
	data := shopData()
	once("# database of the shop: %d products, %d carts\n", data.Products, data.Carts)
	dir, err := cache.Make(context.Background(), "store", cache.Key(fmt.Sprintf("%d %+v", store.Format, data)), func(dir string) error {
		return store.Create(context.Background(), filepath.Join(dir, workload.StoreFile), data)
	})
	return filepath.Join(dir, workload.StoreFile), err
})

// shopData are what a new database holds.
func shopData() shop.Data { return shop.Data{Products: workload.StoreProducts, Carts: carts()} }

// scratchSubdir returns a directory of that name for files of guests.
func scratchSubdir(name string) (string, error) {
	dir, err := scratchDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// stock puts a new database into a directory, in place of one that is there.
func stock(dir string) error {
	from, err := template()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, workload.StoreFile)
	for _, of := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + of); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return copyFile(path, from)
}

// copyFile makes a copy that lies on the disk: written back later, it would take its
// part of the disk from what is measured.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// shopTable has the cells of the shop, whose guest works in a directory.
func shopTable(dir string, runtimes []string) table {
	return table{workload: "shop", guests: []workload.Language{workload.Go}, runtimes: runtimes,
		guest: func(l workload.Language) (workload.Workload, error) { return workload.Shop(l, dir), stock(dir) }}
}

// customers is the demand of a shop's users for one of its endpoints, or all in
// turn. Those of one database begin after as many as have been there before.
func customers(b *testing.B, endpoint string, before int) demand {
	b.Helper()
	p, err := json.Marshal(shop.Options{Data: shopData(), Endpoint: endpoint, First: before, Seed: *flagSeed})
	if err != nil {
		b.Fatal(err)
	}
	return demand{Script: measure.Script{Scenario: "shop", Parameters: p}}
}

// audit compares the database that a load has left with what was answered: what was
// sold is no longer in stock, and each confirmed checkout is an order.
func audit(ctx context.Context, dir, endpoint string, s *measure.Serving) error {
	for _, f := range s.Result.Failures {
		if strings.Contains(f.Text, shop.ErrUsedUp.Error()) {
			return fmt.Errorf("%s, of which there were %d: the service answers more than was foreseen; make -http.time shorter", f.Text, carts())
		}
	}
	confirmed := 0
	switch endpoint {
	case shop.Checkout:
		confirmed = int(s.Result.Requests)
	case shop.Mix: // each user's fifth request is one
		confirmed = max(0, int(s.Result.Requests)/len(shop.Endpoints())-*flagConnections)
	}
	return store.Verify(ctx, filepath.Join(dir, workload.StoreFile), shopData(), confirmed)
}

// BenchmarkEcommerce is the article's e-commerce API: a shop with 100,000 products
// in an SQLite database is asked by -http.connections users, each for himself, for
// one endpoint or, with endpoint=mix, for all five in turn, as somebody who lists products,
// looks at one, puts it into the cart, looks at that and buys. A checkout is a
// transaction. Each run begins with a database as new. See BenchmarkHTTP for the keys
// and the units; instances of a module reach the database through their host, by the
// driver that the other guests have in their process.
func BenchmarkEcommerce(b *testing.B) {
	dir, err := scratchSubdir("shop")
	if err != nil {
		b.Fatal(err)
	}
	eachServing(b, shopTable(dir, fewerServing), func(b *testing.B, c cell[*servers]) {
		for _, endpoint := range slices.Concat([]string{shop.Mix}, shop.Endpoints()) {
			b.Run("endpoint="+endpoint, func(b *testing.B) {
				for _, way := range ways(c.candidate, false, endpoint == shop.Mix) {
					b.Run(way.String(), func(b *testing.B) {
						lastingServed(b, c, way, visit{
							before: func() error { return stock(dir) },
							ask:    func(runtime.Service) demand { return customers(b, endpoint, 0) },
							after:  func(s *measure.Serving) error { return audit(b.Context(), dir, endpoint, s) },
						})
					})
				}
			})
		}
	})
}
