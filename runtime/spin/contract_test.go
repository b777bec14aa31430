package spin_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// The official spin, where there is one, does what the adapter takes for
// granted.
func TestContract(t *testing.T) {
	_, err := spin.New(spin.Options{}).Probe(t.Context())
	rundirtest.Require(t, "spin", err)
	for _, language := range workload.Languages() {
		for _, cache := range []spin.Cache{spin.Filled, spin.Off} {
			t.Run(string(language)+"/"+string(cache), func(t *testing.T) {
				w := workload.Hello(language)
				_, err := w.Artifact(t.Context(), workload.CGI)
				skipUnavailable(t, err)
				watch(t)
				r := spin.New(spin.Options{Cache: cache})
				img, err := r.Prepare(t.Context(), w)
				if err != nil {
					t.Fatal(err)
				}
				defer closing(t, img)
				for range 2 {
					inst, line, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
					if err != nil {
						t.Fatal(err)
					}
					t.Log(line.FirstAnswer(), line.Durations)
					own := inst.Scope().Own
					if len(own) != 2 {
						t.Errorf("scope %v, want spin up and its trigger", own)
					}
					if _, err := inst.Call(t.Context(), w.Request()); err != nil {
						t.Error(err)
					}
					closing(t, inst)
					wantNone(t, own)
				}
				served, err := r.(runtime.Server).PrepareServer(t.Context(), w, runtime.ServeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer closing(t, served)
				first := serve(t, served, "", ignore)
				answer, err := ask(t, first, string(w.Request()))
				if err == nil {
					err = w.Check([]byte(answer))
				}
				if err != nil {
					t.Error(err)
				}
				second := serve(t, served, first.Address(), ignore)
				<-second.Ended()
				wantSays(t, second.Explain(errors.New("no answer")), "no answer", "in use")
				closing(t, first)
				closing(t, second)
			})
		}
	}
}

func skipUnavailable(t *testing.T, err error) {
	t.Helper()
	var u *workload.Unavailable
	switch {
	case errors.As(err, &u):
		t.Skip(u)
	case err != nil:
		t.Fatal(err)
	}
}

func closing(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// post asks a service and compares the answer.
func post(t *testing.T, svc runtime.Service, request, want string) error {
	t.Helper()
	answer, err := ask(t, svc, request)
	if err == nil && answer != want {
		t.Errorf("answer %q, want %q", answer, want)
	}
	return err
}

// ask posts a request to a service as soon as that listens.
func ask(t *testing.T, svc runtime.Service, request string) (string, error) {
	t.Helper()
	for {
		conn, err := net.Dial("tcp", svc.Address())
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-svc.Ended():
			return "", svc.Explain(err)
		case <-t.Context().Done():
			return "", err
		case <-time.After(time.Millisecond):
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+svc.Address()+"/", bytes.NewReader([]byte(request)))
	if err != nil {
		return "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", svc.Explain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
