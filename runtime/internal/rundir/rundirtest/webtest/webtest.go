// Package webtest checks that container runtimes serve the guests of the catalogue
// that are Web. It is apart from package rundirtest because it links SQLite.
package webtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/shop"
	"github.com/seed-0132abb7/wasmbench/workload/store"
)

// most is how long a guest may take to answer.
const most = 20 * time.Second

// Guests checks that a runtime serves those guests in the host's network and on a
// bridge, that they work in their directory of the host, and that containers side
// by side work on one database there.
func Guests(t *testing.T, host *rundirtest.Host, server runtime.Server) {
	t.Run("static", func(t *testing.T) {
		w, err := workload.Static(workload.Go, t.TempDir(), 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		missing := workload.Exchange{Method: http.MethodGet, Target: "/missing", Status: http.StatusNotFound}
		for _, s := range serve(t, host, server, w) {
			exchange(t, s, w.Exchanges()[0])
			exchange(t, s, missing)
		}
	})
	dir := t.TempDir()
	// A small one: with the race detector that of the guests' own takes a minute.
	data := store.Options{Products: 1000}
	if err := store.Create(t.Context(), filepath.Join(dir, workload.StoreFile), data); err != nil {
		t.Fatal(err)
	}
	get := func(target string, answer []byte) workload.Exchange {
		return workload.Exchange{Method: http.MethodGet, Target: target, Status: http.StatusOK, Answer: answer}
	}
	t.Run("shop", func(t *testing.T) {
		for n, s := range serve(t, host, server, workload.Shop(workload.Go, dir)) {
			exchange(t, s, get("/products/7", shop.ProductAnswer(nil, 7)))
			exchange(t, s, get("/products?page=2", data.ListAnswer(nil, 2)))
			// What one container has written the other reads.
			exchange(t, s, workload.Exchange{
				Method: http.MethodPost, Target: "/cart/add", Body: []byte(`{"user":7,"product":1,"quantity":2}`),
				Status: http.StatusOK, Answer: fmt.Appendf(nil, `{"user":7,"product":1,"quantity":%d}`, 2*(n+1)),
			})
		}
	})
}

// serve starts a service in each network, which the test closes.
func serve(t *testing.T, host *rundirtest.Host, server runtime.Server, w workload.Workload) (all []runtime.Service) {
	t.Helper()
	for _, bridged := range []bool{false, true} {
		img, err := server.PrepareServer(t.Context(), w, runtime.ServeOptions{Bridge: bridged})
		if err != nil && !bridged {
			t.Fatal(err)
		}
		rundirtest.Require(t, server.(runtime.Runtime).Name(), err)
		t.Cleanup(func() {
			if err := img.Close(); err != nil {
				t.Error(err)
			}
		})
		s, err := img.Serve(t.Context(), "", func(runtime.Phase, time.Time) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		host.Add(s.Scope())
		all = append(all, s)
	}
	return all
}

// exchange sends a request as soon as the service takes connections, once, for a
// second one may be answered otherwise, and wants the response. An answer that is
// nil may be any.
func exchange(t *testing.T, s runtime.Service, e workload.Exchange) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	status, answer, err := send(ctx, s, e)
	for errors.Is(err, unix.ECONNREFUSED) {
		select {
		case <-s.Ended():
			t.Fatal(s.Explain(err))
		case <-ctx.Done():
			t.Fatal(s.Explain(err))
		case <-time.After(rundirtest.Interval):
			status, answer, err = send(ctx, s, e)
		}
	}
	if err != nil {
		t.Fatal(s.Explain(err))
	}
	if status != e.Status || e.Answer != nil && !bytes.Equal(answer, e.Answer) {
		t.Errorf("%s %s: status %d and %.200q, want %d and %.200q", e.Method, e.Target, status, answer, e.Status, e.Answer)
	}
}

func send(ctx context.Context, s runtime.Service, e workload.Exchange) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, e.Method, "http://"+s.Address()+e.Target, bytes.NewReader(e.Body))
	if err != nil {
		return 0, nil, err
	}
	response, err := rundirtest.Client(s).Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}
