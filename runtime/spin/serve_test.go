package spin_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/workload"
)

func prepareServer(t *testing.T, mode string) runtime.ServerImage {
	t.Helper()
	watch(t)
	r := spin.New(spin.Options{Path: standIn(t, mode), Cache: spin.Off}).(runtime.Server)
	img, err := r.PrepareServer(t.Context(), guest(t), runtime.ServeOptions{})
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

func serve(t *testing.T, img runtime.ServerImage, address string, mark func(runtime.Phase, time.Time)) runtime.Service {
	t.Helper()
	svc, err := img.Serve(t.Context(), address, mark)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
	})
	return svc
}

func TestServe(t *testing.T) {
	img := prepareServer(t, "normal")
	free, err := runtime.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", free} {
		var marks []runtime.Phase
		svc := serve(t, img, address, func(p runtime.Phase, _ time.Time) { marks = append(marks, p) })
		if address != "" && svc.Address() != address || slices.Contains(marks, runtime.Ready) {
			t.Errorf("serving at %q: address %s, marks %v", address, svc.Address(), marks)
		}
		if err := post(t, svc, "you", "hello you"); err != nil {
			t.Error(err)
		}
		own := svc.Scope().Own
		if len(own) != 2 {
			t.Errorf("scope %v", own)
		}
		if err := svc.Explain(nil); err != nil {
			t.Errorf("no error is explained as %v", err)
		}
		if err := svc.Close(); err != nil {
			t.Error(err)
		}
		wantNone(t, own)
	}
}

func TestServeAtATakenPort(t *testing.T) {
	img := prepareServer(t, "normal")
	first := serve(t, img, "", ignore)
	second := serve(t, img, first.Address(), ignore)
	<-second.Ended()
	wantSays(t, second.Explain(errors.New("no answer")), "no answer", "exit status 1", "already in use")
	if err := post(t, first, "you", "hello you"); err != nil {
		t.Error(err)
	}
}

// Where spin up is killed its trigger ends too, and the service with it.
func TestServiceEnds(t *testing.T) {
	svc := serve(t, prepareServer(t, "leaks"), "", ignore)
	own := svc.Scope().Own
	if len(own) != 2 {
		t.Fatalf("scope %v", own)
	}
	select {
	case <-svc.Ended():
		t.Fatal("a live service has ended")
	default:
	}
	if err := unix.Kill(own[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-svc.Ended()
	wantNone(t, own)
	wantSays(t, svc.Explain(fmt.Errorf("a try: %w", unix.ECONNREFUSED)), "a try", "signal: killed")
}

func TestServeFails(t *testing.T) {
	for mode, says := range map[string]string{"exits": "Failed to load application", "garbage": "no address of HTTP"} {
		_, err := prepareServer(t, mode).Serve(t.Context(), "", ignore)
		wantSays(t, err, says)
	}
	if _, err := prepareServer(t, "normal").Serve(t.Context(), "nowhere", ignore); err == nil {
		t.Error("it serves nowhere")
	}
	var u *runtime.Unavailable
	r := spin.New(spin.Options{Path: standIn(t, "normal")}).(runtime.Server)
	if _, err := r.PrepareServer(t.Context(), guest(t), runtime.ServeOptions{Bridge: true}); !errors.As(err, &u) || !errors.Is(err, workload.ErrNoForm) {
		t.Errorf("a bridge gave %v", err)
	}
	if _, err := r.PrepareServer(t.Context(), guest(t), runtime.ServeOptions{Pool: 2}); !errors.As(err, &u) {
		t.Errorf("a pool: error %v", err)
	}
}
