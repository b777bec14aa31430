package engine_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "modernc.org/sqlite" // the driver

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/enginehost"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/sqlwire"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// stored is a workload whose guest has a database.
type stored struct{ mounted }

func (stored) Stored() bool { return true }

// relay is a guest that hands its requests to a new database, of a number in the
// table orders and of 1000 numbered texts in products, and answers what that answers.
// A store lets guests see no other tables.
func relay(t *testing.T) stored {
	t.Helper()
	w := stored{mounted{modules{reactor: wasmtest.Write(t, wasmtest.Relay())}, t.TempDir()}}
	edit(t, w, `CREATE TABLE orders (n INTEGER NOT NULL);
		INSERT INTO orders VALUES (0);
		CREATE TABLE products (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
		WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
		INSERT INTO products SELECT n, 'text ' || n FROM numbers;`)
	return w
}

// edit changes the database of w as another process would.
func edit(t *testing.T, w stored, statements string) {
	t.Helper()
	file := url.URL{Scheme: "file", Path: filepath.Join(w.dir, workload.StoreFile), RawQuery: "_pragma=busy_timeout(10000)"}
	db, err := sql.Open("sqlite", file.String())
	if err == nil {
		_, err = db.ExecContext(t.Context(), statements)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A wire asks a relay.
type wire func(request string) (answer string, err error)

// served asks through a service.
func served(c *http.Client, svc runtime.Service) wire {
	return func(request string) (string, error) {
		status, answer, err := post(c, svc, request)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, answer)
		}
		return answer, err
	}
}

// called asks an instance.
func called(t *testing.T, inst runtime.Instance) wire {
	return func(request string) (string, error) {
		answer, err := inst.Call(t.Context(), []byte(request))
		return string(answer), err
	}
}

// do has a statement run and returns its rows as a text, the fields one after the
// other.
func (w wire) do(op sqlwire.Op, statement string, args ...sqlwire.Value) (string, error) {
	answer, err := w(string(sqlwire.AppendRequest(nil, sqlwire.Request{Op: op, SQL: statement, Args: args})))
	if err != nil {
		return "", err
	}
	rows, err := sqlwire.ParseAnswer([]byte(answer))
	var fields []string
	for _, v := range rows.Values {
		fields = append(fields, fmt.Sprint(v.Any()))
	}
	return strings.Join(fields, " "), err
}

const (
	count    = "SELECT n FROM orders"
	increase = "UPDATE orders SET n = n + 1 RETURNING n"
)

// expect fails the test unless a statement gives the rows.
func (w wire) expect(t *testing.T, op sqlwire.Op, statement, want string, args ...sqlwire.Value) {
	t.Helper()
	if got, err := w.do(op, statement, args...); err != nil || got != want {
		t.Errorf("%s%v: %.200q, error %v; want %.200q", statement, args, got, err, want)
	}
}

// A guest reaches the database of its workload, by way of every engine.
func TestStored(t *testing.T) {
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		w := relay(t)
		svc := serve(t, prepareServer(t, r, w, pool), unmarked)
		ask := served(client(t), svc)
		for n := range 2 * (pool + 1) {
			ask.expect(t, sqlwire.Read, "SELECT text FROM products WHERE id = ?", "text 42", sqlwire.Value{Kind: sqlwire.Int, Int: 42})
			ask.expect(t, sqlwire.Write, increase, fmt.Sprint(n+1))
		}
		// An answer for which the guest has too little room at first.
		var long []string
		for n := range 1000 {
			long = append(long, fmt.Sprint("text ", n+1))
		}
		ask.expect(t, sqlwire.Read, "SELECT text FROM products ORDER BY id", strings.Join(long, " "))
		// What the database refuses is for the guest to tell.
		if _, err := ask.do(sqlwire.Read, "SELECT nothing"); !errors.As(err, new(*sqlwire.Error)) || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("a wrong statement gave %v", err)
		}
		if answer, err := ask("\xff"); err != nil || !strings.HasPrefix(answer, "\x01") {
			t.Errorf("what is no request was answered %q, error %v", answer, err)
		}
		// The host sees what another process does.
		edit(t, w, "UPDATE orders SET n = 100")
		ask.expect(t, sqlwire.Read, count, "100")
	})
}

// A guest that answers in the midst of a transaction is told so to its client, for
// what it did is undone, and it is in nobody's way: neither what others do is part of
// it, nor do they wait for it.
func TestStoredTransactionLeftOpen(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		for _, pool := range []int{0, 1, 2} {
			w := relay(t)
			svc := serve(t, prepareServer(t, r, w, pool), unmarked)
			ask := served(client(t), svc)
			begin := string(sqlwire.AppendRequest(nil, sqlwire.Request{Op: sqlwire.Begin}))
			for n := range 3 {
				if status, answer, err := post(client(t), svc, begin); err != nil || status != http.StatusInternalServerError || !strings.Contains(answer, enginehost.ErrTransactionOpen.Error()) {
					t.Errorf("pool=%d: a transaction that is begun: %d, %q, error %v", pool, status, answer, err)
				}
				for m := range 2 {
					ask.expect(t, sqlwire.Write, increase, fmt.Sprint(3*n+m+1))
				}
				edit(t, w, "UPDATE orders SET n = n + 1") // which would wait for a transaction
			}
			if err := svc.Close(); err != nil {
				t.Error(err)
			}
			// What was answered was done.
			served(client(t), serve(t, prepareServer(t, r, w, pool), unmarked)).expect(t, sqlwire.Read, count, "9")
		}
	})
}

// An instance that is closed in the middle of a transaction leaves nothing of it.
func TestStoredTransactions(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		img := prepare(t, r, relay(t))
		begun := func() (runtime.Instance, wire) {
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			return inst, called(t, inst)
		}
		reader, read := begun()
		defer reader.Close()
		for _, end := range []string{"committed", "closed", "rolled back", "trapped"} {
			read.expect(t, sqlwire.Write, "UPDATE orders SET n = 0", "")
			inst, ask := begun()
			ask.expect(t, sqlwire.Begin, "", "")
			ask.expect(t, sqlwire.Write, increase, "1")
			ask.expect(t, sqlwire.Write, increase, "2")
			read.expect(t, sqlwire.Read, count, "0")
			want := "0"
			switch end {
			case "committed":
				ask.expect(t, sqlwire.Commit, "", "")
				want = "2"
			case "rolled back":
				ask.expect(t, sqlwire.Rollback, "", "")
			case "trapped":
				if answer, err := ask(""); err == nil {
					t.Errorf("a trap was answered %q", answer)
				}
			}
			if err := inst.Close(); err != nil {
				t.Error(err)
			}
			read.expect(t, sqlwire.Read, count, want)
			read.expect(t, sqlwire.Write, "UPDATE orders SET n = n + 10 RETURNING n > 9", "1")
		}
	})
}

// Instances that write at the same time lose nothing of each other's.
func TestStoredTogether(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		const instances, each = 16, 20
		ask := served(client(t), serve(t, prepareServer(t, r, relay(t), instances), unmarked))
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]bool{}
		for range instances {
			all.Go(func() {
				for range each {
					n, err := ask.do(sqlwire.Write, increase)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seen[n] {
						t.Errorf("two were told %s", n)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
		ask.expect(t, sqlwire.Read, count, fmt.Sprint(instances*each))
	})
}

// A host that is killed in the middle of a transaction leaves nothing of it, and the
// next finds all that was done before.
func TestStoredKilledHost(t *testing.T) {
	embedded(t, func(t *testing.T, r runtime.Runtime) {
		w := relay(t)
		for n := range 2 {
			img, err := r.Prepare(t.Context(), w)
			if err != nil {
				t.Fatal(err)
			}
			inst, err := img.Start(t.Context(), unmarked)
			if err != nil {
				t.Fatal(err)
			}
			ask := called(t, inst)
			ask.expect(t, sqlwire.Write, increase, fmt.Sprint(n+1))
			ask.expect(t, sqlwire.Begin, "", "")
			ask.expect(t, sqlwire.Write, increase, fmt.Sprint(n+2))
			if err := syscall.Kill(inst.Scope().Own[0], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			// Whose errors are about the end of the process.
			inst.Close()
			img.Close()
		}
		served(client(t), serve(t, prepareServer(t, r, w, 0), unmarked)).expect(t, sqlwire.Read, count, "2")
	})
}

// A guest cannot have its host open another file for it than its database.
func TestStoredIsNotReplaced(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		const link = "../private/private.db"
		w := relay(t)
		w.modules.reactor = wasmtest.Write(t, wasmtest.Replace())
		path, private := filepath.Join(w.dir, workload.StoreFile), filepath.Join(w.dir, link)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(private), 0o700), os.WriteFile(private, before, 0o600)); err != nil {
			t.Fatal(err)
		}
		ask := served(client(t), serve(t, prepareServer(t, r, w, 0), unmarked))
		replacing := wire(func(request string) (string, error) { return ask(workload.StoreFile + link + request) })
		for n := range 3 {
			replacing.expect(t, sqlwire.Write, increase, fmt.Sprint(n+1))
		}
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("in place of the database there is %v, error %v", info, err)
		}
		if after, err := os.ReadFile(private); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the other file has changed, error %v", err)
		}
		// What is there before the guest is no better.
		linked := w
		linked.dir = t.TempDir()
		if err := os.Symlink(link, filepath.Join(linked.dir, workload.StoreFile)); err != nil {
			t.Fatal(err)
		}
		if svc, err := prepareServer(t, r, linked, 0).Serve(t.Context(), "", unmarked); err == nil || !strings.Contains(err.Error(), store.ErrNotPlain.Error()) {
			t.Errorf("a link gave %v, %v", svc, err)
		}
	})
}

// What cannot be is an error that says what to do.
func TestStoredThatCannotBe(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		server := r.(runtime.Server)
		w := relay(t)
		// The workload says nothing of a database that the module asks for.
		img, err := server.PrepareServer(t.Context(), w.mounted, runtime.ServeOptions{})
		if err == nil {
			defer img.Close()
			_, err = img.Serve(t.Context(), "", unmarked)
		}
		if err == nil || !strings.Contains(err.Error(), "wasmbench.sql") || !strings.Contains(err.Error(), enginehost.ErrNoStore.Error()) || !strings.Contains(err.Error(), "Stored") {
			t.Errorf("a module that asks for a database gave %v", err)
		}
		nowhere := w
		nowhere.dir = ""
		if _, err := server.PrepareServer(t.Context(), nowhere, runtime.ServeOptions{}); !errors.As(err, new(*runtime.Unavailable)) || !strings.Contains(err.Error(), "Mount") {
			t.Errorf("a database without a directory gave %v", err)
		}
		// There is none in the directory, and so no guest.
		absent := w
		absent.dir = t.TempDir()
		none := prepareServer(t, r, absent, 1)
		if svc, err := none.Serve(t.Context(), "", unmarked); err == nil || !strings.Contains(err.Error(), filepath.Join(absent.dir, workload.StoreFile)) {
			t.Errorf("a database that is not there gave %v, %v", svc, err)
		}
		// A host that has none to give.
		without := *r.(*engine.Runtime)
		without.StoreHost = nil
		if _, err := without.PrepareServer(t.Context(), w, runtime.ServeOptions{}); !errors.Is(err, workload.ErrNoForm) || !errors.As(err, new(*runtime.Unavailable)) || !strings.Contains(err.Error(), "wazero, wasmtime or wasmedge") {
			t.Errorf("a host without a database gave %v", err)
		}
		if _, err := server.PrepareServer(t.Context(), w, runtime.ServeOptions{Bridge: true}); !errors.Is(err, workload.ErrNoForm) || !errors.As(err, new(*runtime.Unavailable)) {
			t.Errorf("a bridge gave %v", err)
		}
	})
}
