package workload_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// The modules of guests that are Stored answer as their servers do, with the database
// on the other side of two functions of the host.
func TestStoredModulesAnswer(t *testing.T) {
	dir := stored(t, store.Options{Products: few})
	db, err := store.Open(filepath.Join(dir, workload.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(context.Background())
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	h := &sqlHost{session: db.NewSession()}
	h.provide(t, r)

	t.Run("db", func(t *testing.T) {
		g := workload.DB(workload.Go, dir)
		answer, _ := reactor(t, r, g)
		if err := g.Check(answer(g.Request())); err != nil {
			t.Error(err)
		}
		askAll(t, answer, within(t, g)[:20])
	})
	t.Run("shop", func(t *testing.T) {
		g := workload.Shop(workload.Go, dir)
		answer, _ := reactor(t, r, g)
		askAll(t, answer, within(t, g))
		askAll(t, answer, []workload.Exchange{
			{Method: "POST", Target: "/cart/add", Body: []byte(`{"user":9,"product":1,"quantity":2}`), Status: 200, Answer: []byte(`{"user":9,"product":1,"quantity":2}`)},
			{Method: "POST", Target: "/checkout", Body: []byte(`{"user":9}`), Status: 200, Answer: fmt.Appendf(nil, `{"order":1,"user":9,"lines":1,"total":%d}`, 2*shop.ProductOf(1).Price)},
			{Method: "POST", Target: "/checkout", Body: []byte(`{"user":9}`), Status: 409, Answer: []byte(`{"error":"the cart is empty"}`)},
			{Method: "GET", Target: "/cart?user=9", Status: 200, Answer: []byte(`{"user":9,"lines":[],"total":0}`)},
		})
		const many = 600
		var lines []string
		var total int64
		for id := 1; id <= many; id++ {
			price := shop.ProductOf(id).Price
			lines, total = append(lines, fmt.Sprintf(`{"product":%d,"quantity":1,"price":%d}`, id, price)), total+price
		}
		if _, err := h.session.Run(sqlwire.Request{Op: sqlwire.Write, SQL: fmt.Sprintf("INSERT INTO carts SELECT 8, id, 1 FROM products WHERE id <= %d", many)}); err != nil {
			t.Fatal(err)
		}
		askAll(t, answer, []workload.Exchange{
			{Method: "GET", Target: "/cart?user=8", Status: 200, Answer: fmt.Appendf(nil, `{"user":8,"lines":[%s],"total":%d}`, strings.Join(lines, ","), total)},
		})
		if h.again == 0 {
			t.Error("no answer was too long for the guest's buffer, so nothing has fetched one again")
		}
	})
	// What is refused left no transaction behind.
	if _, err := h.session.Run(sqlwire.Request{Op: sqlwire.Begin}); err != nil {
		t.Error(err)
	}
	if err := h.session.Close(); err != nil {
		t.Error(err)
	}
}

func askAll(t *testing.T, answer func([]byte) []byte, exchanges []workload.Exchange) {
	t.Helper()
	for _, e := range exchanges {
		got, err := web.ParseResponse(answer(web.Request{Method: e.Method, Target: e.Target, Body: e.Body}.Append(nil)))
		if err != nil || got.Status != e.Status || string(got.Body) != string(e.Answer) {
			t.Fatalf("%s %s: %v, %d %s, want %d %s", e.Method, e.Target, err, got.Status, got.Body, e.Status, e.Answer)
		}
	}
}

// reactor starts the module of a guest, in its directory.
func reactor(t *testing.T, r wazero.Runtime, g *workload.Guest) (answer func(request []byte) []byte, memory api.Memory) {
	t.Helper()
	path, err := g.Artifact(t.Context(), workload.Reactor)
	skip(t, err)
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	m, err := r.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithFSConfig(wazero.NewFSConfig().WithDirMount(g.Mount(), "/")))
	if err != nil {
		t.Fatal(err)
	}
	call := func(function string, size int) uint64 {
		t.Helper()
		result, err := m.ExportedFunction(function).Call(ctx, uint64(size))
		if err != nil {
			t.Fatal(err)
		}
		return result[0]
	}
	return func(request []byte) []byte {
		m.Memory().Write(uint32(call("wasmbench_request", len(request))), request)
		where := call("wasmbench_answer", len(request))
		b, ok := m.Memory().Read(uint32(where>>32), uint32(where))
		if !ok {
			t.Fatalf("the answer is at %#x", where)
		}
		return b
	}, m.Memory()
}

// An sqlHost is what a guest's module imports to reach its database.
type sqlHost struct {
	session *store.Session
	answer  []byte
	again   int
}

func (h *sqlHost) provide(t *testing.T, r wazero.Runtime) {
	t.Helper()
	tell := func(m api.Module, at, capacity uint32) uint32 {
		if len(h.answer) <= int(capacity) {
			m.Memory().Write(at, h.answer)
		}
		return uint32(len(h.answer))
	}
	_, err := r.NewHostModuleBuilder("wasmbench").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, request, size, at, capacity uint32) uint32 {
		asked, _ := m.Memory().Read(request, size)
		h.answer = h.session.Do(h.answer[:0], asked)
		return tell(m, at, capacity)
	}).Export("sql").
		NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, at, capacity uint32) uint32 {
		h.again++
		return tell(m, at, capacity)
	}).Export("sql_again").
		Instantiate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
}
