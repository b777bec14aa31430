package docker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// Only the daemon's word that the directory does not exist is taken for one on
// file systems of its own: what else is wrong with a container may name it too.
func TestUnseen(t *testing.T) {
	g := &guest{image: &image{link: &link{host: "unix:///the/socket"}, directory: "/of/the/guest"}}
	for _, tt := range []struct {
		kind   error
		says   string
		unseen bool
	}{
		{errdefs.ErrInvalidArgument, `invalid mount config for type "bind": bind source path does not exist: /of/the/guest`, true},
		{errdefs.ErrInvalidArgument, "invalid mount config: /of/the/guest: must not set it twice", false},
		{errdefs.ErrInternal, "bind source path does not exist: /of/the/guest", false},
	} {
		err := fmt.Errorf("creating the container: %w: %s", tt.kind, tt.says)
		got := g.unseen(err)
		if !errors.Is(got, err) || errors.As(got, new(*workload.Unavailable)) != tt.unseen {
			t.Errorf("%v: error %v, want an *Unavailable: %v", err, got, tt.unseen)
		}
	}
	if g.image.directory = ""; g.unseen(errdefs.ErrInvalidArgument) != errdefs.ErrInvalidArgument {
		t.Error("a directory is missed where there is none")
	}
}
