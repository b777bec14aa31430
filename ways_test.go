package wasmbench

import (
	"slices"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/runc"
	"github.com/seed-0132abb7/wasmbench/runtime/spin"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

func TestWays(t *testing.T) {
	tests := []struct {
		runtime        runtime.Runtime
		bridged, fresh bool
		flag           string
		want           []string
	}{
		{native.New(), true, true, "", []string{"serve=process/net=host"}},
		{runc.New(runc.Options{}), false, true, "", []string{"serve=process/net=host"}},
		{runc.New(runc.Options{}), true, true, "pool", []string{"serve=process/net=host", "serve=process/net=bridge"}},
		{wazero.Embedded(), true, true, "", []string{"serve=pool/net=host", "serve=fresh/net=host"}},
		{wazero.Embedded(), true, false, "", []string{"serve=pool/net=host"}},
		{wazero.Embedded(), true, false, "all", []string{"serve=pool/net=host", "serve=fresh/net=host"}},
		{wazero.Embedded(), true, false, "fresh", []string{"serve=fresh/net=host"}},
		{spin.New(spin.Options{}), true, true, "", []string{"serve=fresh/net=host"}},
		{spin.New(spin.Options{}), true, true, "pool", nil},
	}
	before := *flagServe
	defer func() { *flagServe = before }()
	for _, tt := range tests {
		*flagServe = tt.flag
		var got []string
		for _, w := range ways(&candidate{Runtime: tt.runtime}, tt.bridged, tt.fresh) {
			got = append(got, w.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, bridged %t, fresh %t, -http.serve=%s: %q, want %q", tt.runtime.Name(), tt.bridged, tt.fresh, tt.flag, got, tt.want)
		}
	}
}
