package rundirtest

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// most is how long a test waits for what must happen.
const most = 20 * time.Second

// Serve checks that the runtime serves with a Web and with those that
// misbehave. The guest's exit status is -1 where the runtime does not tell it.
func Serve(t *testing.T, host *Host, server runtime.Server, tellsStatus bool) {
	dir := t.TempDir()
	status := func(s int) int {
		if tellsStatus {
			return s
		}
		return -1
	}
	with := func(name, mode string, test func(*testing.T, runtime.ServerImage)) {
		t.Run(name, func(t *testing.T) {
			img, err := server.PrepareServer(t.Context(), Web{Echo{Mode: mode, Dir: dir}}, runtime.ServeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			test(t, img)
			if err := img.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	// ended wants the service to end with a status and a log.
	ended := func(t *testing.T, s runtime.Service, want int, log ...string) {
		t.Helper()
		select {
		case <-s.Ended():
		case <-time.After(most):
			t.Error("the service does not end")
		}
		cause := errors.New("nobody answers")
		err := s.Explain(cause)
		var exit *oci.ExitError
		if !errors.As(err, &exit) || !errors.Is(err, cause) || exit.Status != status(want) {
			t.Errorf("error %v, want an *ExitError with status %d", err, status(want))
		}
		for _, l := range log {
			if err == nil || !strings.Contains(err.Error(), l) {
				t.Errorf("error %v does not tell %q", err, l)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		// Others get the numbers of descriptors that Close has given back.
		for range 64 {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
		}
		if err := s.Explain(cause); !errors.As(err, &exit) || !errors.Is(err, cause) {
			t.Errorf("error %v of a service that is closed, want an *ExitError", err)
		}
	}

	with("answers", "", func(t *testing.T, img runtime.ServerImage) {
		line := runtime.NewTimeline(time.Now())
		s, err := img.Serve(t.Context(), "", line.Mark)
		if err != nil {
			t.Fatal(err)
		}
		host.Add(s.Scope())
		if line.Durations[runtime.Load] == 0 || line.Durations[runtime.Start] == 0 || line.Durations[runtime.Ready] != 0 {
			t.Errorf("phases %v", line.Durations)
		}
		if len(s.Scope().Own) == 0 || s.Scope().Cgroup == "" {
			t.Errorf("Scope = %+v", s.Scope())
		}
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		if answer, err := Get(ctx, s, []byte("you")); err != nil || string(answer) != "hello you" {
			t.Errorf("the answer is %q, %v", answer, err)
		}
		if err := s.Explain(nil); err != nil {
			t.Errorf("Explain(nil) = %v", err)
		}
		t.Run("taken", func(t *testing.T) { ended(t, serveOn(t, host, img, s.Address()), 1, "address already in use") })
		select {
		case <-s.Ended():
			t.Error("a service that answers has ended")
		default:
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		l, err := net.Listen("tcp", s.Address())
		if err != nil {
			t.Fatalf("the port of a closed service: %v", err)
		}
		l.Close()
	})
	with("exits", "exits", func(t *testing.T, img runtime.ServerImage) {
		ended(t, serveOn(t, host, img, ""), 1, "no reason", "to stay")
	})
	with("dies", "dies", func(t *testing.T, img runtime.ServerImage) {
		s := serveOn(t, host, img, "")
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		if _, err := Get(ctx, s, nil); err == nil {
			t.Error("a dead server has answered")
		}
		ended(t, s, 4, "too much")
	})
	with("deaf", "deaf", func(t *testing.T, img runtime.ServerImage) {
		s := serveOn(t, host, img, "")
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		var err error
		for ctx.Err() == nil && (err == nil || !strings.Contains(err.Error(), "never mind")) {
			short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			_, err = Get(short, s, nil)
			cancel()
		}
		if ctx.Err() != nil {
			t.Errorf("error %v without what the guest wrote", err)
		}
		if errors.As(err, new(*oci.ExitError)) {
			t.Errorf("error %v about a guest that lives", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	with("missing", "missing", func(t *testing.T, img runtime.ServerImage) {
		if _, err := img.Serve(t.Context(), "", ignore); !errors.Is(err, oci.ErrCommand) || !strings.Contains(err.Error(), "the file is missing") {
			t.Errorf("error %v, want ErrCommand", err)
		}
	})
	with("script", "script", func(t *testing.T, img runtime.ServerImage) {
		s := serveOn(t, host, img, "")
		select {
		case <-s.Ended():
		case <-time.After(most):
			t.Error("the service does not end")
		}
		if err := s.Explain(errors.New("nobody answers")); !errors.Is(err, oci.ErrCommand) || !strings.Contains(err.Error(), "interpreter") {
			t.Errorf("error %v, want ErrCommand and a word about the interpreter", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	with("cancelled", "", func(t *testing.T, img runtime.ServerImage) {
		for _, after := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			s, err := img.Serve(ctx, "", ignore)
			<-ctx.Done()
			cancel()
			if err == nil { // it was sooner; a service is closed after its context all the same
				host.Add(s.Scope())
				err = s.Close()
				if err != nil || after == 0 {
					t.Errorf("after %v: served, and closed with %v", after, err)
				}
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %v: error %v, want context.DeadlineExceeded", after, err)
			}
		}
	})
}
