package spin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
)

func TestProbe(t *testing.T) {
	watch(t)
	info, err := spin.New(spin.Options{Path: standIn(t, "normal")}).Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Version != "spin 3.5.0 (0000000 2025-10-27)" {
		t.Errorf("version %q", info.Version)
	}
	for _, o := range []spin.Options{{}, {Cache: spin.Off}, {OnDemand: true}} {
		o.Path = standIn(t, "normal")
		other, err := spin.New(o).Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if same := other.Settings == info.Settings; same != (o.Cache == "" && !o.OnDemand) {
			t.Errorf("options %+v are described as %q", o, other.Settings)
		}
	}
}

func TestUnavailable(t *testing.T) {
	watch(t)
	t.Setenv("PATH", t.TempDir())
	tests := []struct {
		path string
		says []string
	}{
		{"", []string{"spin is not available", "it is not on PATH", "install Spin and put spin on PATH"}},
		{"/no/such/spin", []string{"the program given is not there", "/no/such/spin"}},
		{standIn(t, "old"), []string{"spin-old is spin 1.5.1", "install Spin 2"}},
		{standIn(t, "checker"), []string{"spin-checker is another program", "Spin Version 6.5.2"}},
		{standIn(t, "broken"), []string{"does not tell its version", "libssl", "exit status 1"}},
	}
	for _, tt := range tests {
		r := spin.New(spin.Options{Path: tt.path})
		_, probed := r.Probe(t.Context())
		_, prepared := r.Prepare(t.Context(), guest(t))
		for _, err := range []error{probed, prepared} {
			var u *runtime.Unavailable
			if !errors.As(err, &u) {
				t.Errorf("path %q: error %v", tt.path, err)
				continue
			}
			wantSays(t, err, tt.says...)
		}
	}
}

// A spin that hangs when asked for its version ends with the context, and then
// the machine is not at fault.
func TestProbeIsCancelled(t *testing.T) {
	watch(t)
	why := errors.New("changed my mind")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, why)
	defer cancel()
	_, err := spin.New(spin.Options{Path: standIn(t, "hangs")}).Probe(ctx)
	var u *runtime.Unavailable
	if !errors.Is(err, why) || errors.As(err, &u) {
		t.Errorf("error %v", err)
	}
}
