// Package pull brings the root file systems of container images from their
// registries, to be bases of guests: see workload.Guest.WithBase. It is apart
// from package workload so that an engine's host process does not link a
// registry's client.
package pull

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// maxBytes bounds what an image may unpack to.
const maxBytes = 8 << 30

// Base returns a directory in the user's cache with the root file system of an
// image for Linux on this machine's processor, and a line that says what it is.
// The image is pulled at its first use, without credentials.
//
// ref names the image by its digest, as name@sha256:hex: another one, which
// might be another image tomorrow, is refused. Where the image cannot be had the
// error is a *workload.Unavailable; one that is damaged, for another machine, or
// that would write outside its root is an error of another kind.
func Base(ctx context.Context, ref string) (dir, origin string, err error) {
	digest, err := name.NewDigest(ref)
	if err != nil {
		return "", "", fmt.Errorf("image %q is not named by its digest (give name@sha256:hex): %w", ref, err)
	}
	entry, err := cache.Make(ctx, "pulled", cache.Key(digest.Name(), goruntime.GOARCH), func(dir string) error {
		if os.Geteuid() != 0 {
			return &workload.Unavailable{What: "image " + ref, Why: "unpacking it with its owners takes root", Fix: "run as root once"}
		}
		return pull(ctx, digest, dir)
	})
	if err != nil {
		return "", "", err
	}
	b, err := os.ReadFile(filepath.Join(entry, "origin"))
	return filepath.Join(entry, "rootfs"), string(b), err
}

// pull fills dir with the directory rootfs and the file origin.
func pull(ctx context.Context, ref name.Digest, dir string) error {
	platform := v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}
	img, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(platform))
	if err != nil {
		return explain(ctx, ref, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return explain(ctx, ref, err)
	}
	if config.OS != platform.OS || config.Architecture != platform.Architecture {
		return fmt.Errorf("image %s is for %s/%s, this machine is %s", ref, config.OS, config.Architecture, platform)
	}
	root := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	files := mutate.Extract(img)
	defer files.Close()
	if err := unpack(files, root, maxBytes); err != nil {
		return explain(ctx, ref, err)
	}
	size, err := cache.Size(root)
	if err != nil {
		return err
	}
	origin := fmt.Sprintf("%s, %s, %d MB", ref, platform, size/1e6)
	return os.WriteFile(filepath.Join(dir, "origin"), []byte(origin), 0o644)
}

// explain tells an image that is not to be had from one that is damaged.
func explain(ctx context.Context, ref name.Digest, err error) error {
	u := &workload.Unavailable{What: "image " + ref.Name(), Err: err}
	answer := (*transport.Error)(nil)
	// Not net.Error, which an error about a file here is, too.
	silent := errors.As(err, new(*url.Error)) || errors.As(err, new(*net.OpError))
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("pulling %s: %w", ref, errors.Join(context.Cause(ctx), err))
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		u.Why, u.Fix = "the registry does not have it", "correct its name and digest"
	case errors.As(err, &answer):
		u.Why, u.Fix = "the registry refuses it", "give an image that needs no credentials"
	case silent:
		u.Why, u.Fix = "the registry cannot be reached", "connect to the network once, or give no image to have a base built here"
	default:
		return fmt.Errorf("image %s is bad: %w", ref, err)
	}
	return u
}
