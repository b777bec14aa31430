package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/module"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/wasmtest"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func prepareServer(t *testing.T, r runtime.Runtime, w workload.Workload, pool int) runtime.ServerImage {
	t.Helper()
	img, err := r.(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

func serve(t *testing.T, img runtime.ServerImage, mark func(runtime.Phase, time.Time)) runtime.Service {
	t.Helper()
	svc, err := img.Serve(t.Context(), "", mark)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := svc.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := net.Dial("tcp", svc.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling a service that was closed: %v", err)
		}
	})
	return svc
}

// client returns a client that waits until a service listens.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{
		MaxIdleConnsPerHost: 50,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			for {
				c, err := new(net.Dialer).DialContext(ctx, network, address)
				if !errors.Is(err, syscall.ECONNREFUSED) || ctx.Err() != nil {
					return c, err
				}
				time.Sleep(time.Millisecond)
			}
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func post(c *http.Client, svc runtime.Service, body string) (status int, answer string, err error) {
	r, err := c.Post("http://"+svc.Address()+"/", "application/octet-stream", strings.NewReader(body))
	if err != nil {
		return 0, "", svc.Explain(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// eachServer runs f on every runtime without a pool and with one.
func eachServer(t *testing.T, f func(t *testing.T, r runtime.Runtime, pool int)) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		for _, pool := range []int{0, 2} {
			t.Run(fmt.Sprintf("pool=%d", pool), func(t *testing.T) { f(t, r, pool) })
		}
	})
}

func TestServe(t *testing.T) {
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		img := prepareServer(t, r, workload.Hello(workload.C), pool)
		if img.Bytes() <= 0 {
			t.Errorf("the image has %d bytes", img.Bytes())
		}
		begin := time.Now()
		tl := runtime.NewTimeline(begin)
		last := begin
		svc := serve(t, img, func(p runtime.Phase, at time.Time) {
			if at.Before(last) || p == runtime.Ready {
				t.Errorf("phase %v is marked %v after the one before", p, at.Sub(last))
			}
			last = at
			tl.Mark(p, at)
		})
		if got := tl.FirstAnswer(); got <= 0 || got > time.Since(begin) {
			t.Errorf("the phases take %v of %v", got, time.Since(begin))
		}
		for _, p := range []runtime.Phase{runtime.Load, runtime.Create} {
			if tl.Durations[p] <= 0 {
				t.Errorf("phase %v was not told", p)
			}
		}
		if own := svc.Scope().Own; len(own) != 1 || own[0] == syscall.Getpid() || syscall.Kill(own[0], 0) != nil {
			t.Errorf("scope %v names no other live process", own)
		}
		c := client(t)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 4 {
					body := fmt.Sprintf("%d of %d %s", j, i, strings.Repeat("x", i*j*100))
					if status, answer, err := post(c, svc, body); err != nil || status != 200 || answer != "Hello, "+body+"!" {
						t.Errorf("%.20q gave %d, %.40q, %v", body, status, answer, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// A service can be followed by another, which loads the module again where it
// has been forgotten.
func TestServeAgain(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepareServer(t, r, workload.Hello(workload.C), 0)
		unloader, embedded := img.(runtime.Unloader)
		for i, unload := range []bool{false, true, false} {
			if unload && embedded {
				if err := unloader.Unload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			address, err := runtime.FreeAddress()
			if err != nil {
				t.Fatal(err)
			}
			tl := runtime.NewTimeline(time.Now())
			svc, err := img.Serve(t.Context(), address, tl.Mark)
			if err != nil {
				t.Fatal(err)
			}
			if svc.Address() != address {
				t.Errorf("service %d is on %s, wanted on %s", i, svc.Address(), address)
			}
			first := i == 0 || unload || !embedded
			if loads := tl.Durations[runtime.Load] > 0; loads != first {
				t.Errorf("service %d loads the module: %t; a first one: %t", i, loads, first)
			}
			if _, answer, err := post(client(t), svc, "you"); answer != "Hello, you!" {
				t.Errorf("service %d: answer %q, error %v", i, answer, err)
			}
			if err := svc.Close(); err != nil {
				t.Error(err)
			}
			if lives := syscall.Kill(svc.Scope().Own[0], 0) == nil; lives != embedded {
				t.Errorf("the process lives on: %t; shared with other services: %t", lives, embedded)
			}
		}
	})
}

// trapIfEmpty traps for an empty request and echoes any other.
var trapIfEmpty = append([]byte{0x20, 0x00, 0x45, 0x04, 0x40, 0x00, 0x0b}, wasmtest.Echo...)

// A trapping guest costs its request, and no other.
func TestServeTrap(t *testing.T) {
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		svc := serve(t, prepareServer(t, r, both(t, trapIfEmpty), pool), unmarked)
		c := client(t)
		for range 5 {
			if status, answer, err := post(c, svc, ""); err != nil || status != 500 || !strings.Contains(answer, "unreachable") {
				t.Errorf("a trap gave %d, %q, %v", status, answer, err)
			}
			if status, answer, err := post(c, svc, "echo"); err != nil || status != 200 || answer != "echo" {
				t.Errorf("the request after it gave %d, %q, %v", status, answer, err)
			}
		}
	})
}

// loopIfEmpty never returns from an empty request and echoes any other.
var loopIfEmpty = append([]byte{0x20, 0x00, 0x45, 0x04, 0x40, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b}, wasmtest.Echo...)

// A guest that never returns keeps neither its client nor its service.
func TestServeEndless(t *testing.T) {
	eachServer(t, func(t *testing.T, r runtime.Runtime, pool int) {
		if pool > 0 && r.Name() != "wasmtime-embedded" {
			return // each takes as long as a host is given to end
		}
		svc := serve(t, prepareServer(t, r, both(t, loopIfEmpty), pool), unmarked)
		c := client(t)
		if _, answer, err := post(c, svc, "echo"); answer != "echo" {
			t.Fatalf("answer %q, error %v", answer, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, "POST", "http://"+svc.Address()+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(request); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
		<-svc.Ended()
		if pid := svc.Scope().Own[0]; syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d lives on", pid)
		}
	})
}

// Services leave no goroutine in the harness.
func TestServeLeavesNothing(t *testing.T) {
	before := goruntime.NumGoroutine()
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepareServer(t, r, workload.Hello(workload.C), 0)
		for range 3 {
			if _, answer, err := post(client(t), serve(t, img, unmarked), "you"); answer != "Hello, you!" {
				t.Errorf("answer %q, error %v", answer, err)
			}
		}
	})
	// One that is about to return is no leak.
	for end := time.Now().Add(10 * time.Second); goruntime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after: %s", before, goruntime.NumGoroutine(), stacks[:goruntime.Stack(stacks, true)])
		}
	}
}

func TestServeOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	each(t, func(t *testing.T, r runtime.Runtime) {
		img := prepareServer(t, r, workload.Hello(workload.C), 0)
		svc, err := img.Serve(t.Context(), taken, unmarked)
		if err == nil {
			<-svc.Ended()
			err = svc.Explain(errors.New("no answer"))
			if !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("error %v does not say that the host failed", err)
			}
			if err := svc.Close(); err != nil {
				t.Error(err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("error %v does not say that %s is taken", err, taken)
		}
		if _, answer, err := post(client(t), serve(t, img, unmarked), "you"); answer != "Hello, you!" {
			t.Errorf("the next service: %q, %v", answer, err)
		}
	})
}

func TestServeKilledHost(t *testing.T) {
	each(t, func(t *testing.T, r runtime.Runtime) {
		svc := serve(t, prepareServer(t, r, workload.Hello(workload.C), 2), unmarked)
		if _, answer, err := post(client(t), svc, "you"); answer != "Hello, you!" {
			t.Fatalf("answer %q, error %v", answer, err)
		}
		if err := syscall.Kill(svc.Scope().Own[0], syscall.SIGSEGV); err != nil {
			t.Fatal(err)
		}
		<-svc.Ended()
		err := svc.Explain(io.ErrUnexpectedEOF)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "segmentation") && !strings.Contains(err.Error(), "SIGSEGV") {
			t.Errorf("error %v does not say how the host ended", err)
		}
	})
}

// What cannot be served is an error of Serve that says why.
func TestServeFails(t *testing.T) {
	why := errors.New("changed my mind")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	each(t, func(t *testing.T, r runtime.Runtime) {
		hello := workload.Hello(workload.C)
		if _, err := prepareServer(t, r, hello, 0).Serve(cancelled, "", unmarked); !errors.Is(err, why) {
			t.Errorf("a context that had ended gave %v", err)
		}
		if _, err := prepareServer(t, r, hello, -1).Serve(t.Context(), "", unmarked); err == nil || !strings.Contains(err.Error(), "pool of -1") {
			t.Errorf("a pool of -1 gave %v", err)
		}
		endless := func(code []byte) modules {
			return modules{reactor: wasmtest.Write(t, wasmtest.Module(
				wasmtest.Func{Name: "_initialize", Type: wasmtest.Void, Code: code},
				wasmtest.Func{Name: "wasmbench_request", Type: wasmtest.I32ToI32, Code: wasmtest.At16},
				wasmtest.Func{Name: "wasmbench_answer", Type: wasmtest.I32ToI64, Code: wasmtest.Echo}))}
		}
		if _, err := prepareServer(t, r, endless(wasmtest.Trap), 0).Serve(t.Context(), "", unmarked); err == nil || !strings.Contains(err.Error(), "unreachable") {
			t.Errorf("a guest that traps as it starts gave %v", err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, why)
		defer cancel()
		if _, err := prepareServer(t, r, endless(wasmtest.Loop), 0).Serve(ctx, "", unmarked); !errors.Is(err, why) {
			t.Errorf("a guest that never starts gave %v, want the context's error", err)
		}
		command := modules{reactor: wasmtest.Write(t, wasmtest.Module(wasmtest.Func{Name: "_start", Type: wasmtest.Void}))}
		if _, err := r.(runtime.Server).PrepareServer(t.Context(), command, runtime.ServeOptions{}); !errors.Is(err, module.ErrMissingExport) {
			t.Errorf("a module that is no reactor gave %v", err)
		}
	})
}
