package containerd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// connected returns the link of a runtime that the test closes, and checks that
// nothing is left then.
func connected(t *testing.T) (*Runtime, *link, *rundirtest.Host) {
	t.Helper()
	host := rundirtest.Watch(t)
	r := New(Options{})
	_, err := r.Probe(t.Context())
	rundirtest.Require(t, r.Name(), err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for _, left := range host.Leftovers(t) {
			t.Errorf("left behind: %s", left)
		}
	})
	return r, r.link, host
}

// cachedLayer makes an image of a tree in a cache of the test's own and returns
// the file of its layer.
func cachedLayer(t *testing.T) (img *oci.Image, layer string) {
	t.Helper()
	user := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", user)
	tree := filepath.Join(user, "wasmbench", "rootfs", "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "guest"), bytes.Repeat([]byte("a guest "), 10000), 0o755); err != nil {
		t.Fatal(err)
	}
	img, err := oci.Pack(t.Context(), tree)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := filepath.Glob(filepath.Join(user, "wasmbench", "layer", "*", "*.tar.gz"))
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers in the cache: %v, %v", layers, err)
	}
	return img, layers[0]
}

// A layer that was damaged in the cache is noticed, leaves nothing in the daemon
// and is not mistaken for a good one later.
func TestImagesThatCannotBeRead(t *testing.T) {
	_, l, _ := connected(t)
	img, layer := cachedLayer(t)
	whole, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 0xff
	for name, content := range map[string][]byte{
		"garbage":   bytes.Repeat([]byte("garbage "), len(whole)/8+1)[:len(whole)],
		"truncated": whole[:len(whole)/2],
		"flipped":   flipped,
		"empty":     nil,
	} {
		if err := os.WriteFile(layer, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := l.store(t.Context(), img); !errors.Is(err, oci.ErrImage) {
			t.Errorf("%s: error %v, want ErrImage", name, err)
		}
	}
	ctx := l.context(t.Context())
	images, err := l.client.ImageService().List(ctx)
	if err != nil || len(images) > 0 {
		t.Errorf("images left: %v, %v", images, err)
	}
	leases, err := l.client.LeasesService().List(ctx)
	if err != nil || len(leases) > 0 {
		t.Errorf("leases left: %v, %v", leases, err)
	}
	if err := os.WriteFile(layer, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	good, err := l.store(t.Context(), img)
	if err != nil {
		t.Fatalf("the mended image: %v", err)
	}
	if err := good.Close(); err != nil {
		t.Error(err)
	}
}

// The second of two images on one base finds the base there, unpacked, and
// keeps it when the first is closed.
func TestImagesShareTheirBase(t *testing.T) {
	r, l, host := connected(t)
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	if err := os.Mkdir(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "kept"), []byte("the base, "), 0o644); err != nil {
		t.Fatal(err)
	}
	echo := rundirtest.Layered{Workload: rundirtest.Echo{Dir: dir}, Dir: base}
	first, err := r.Prepare(t.Context(), echo)
	if err != nil {
		t.Fatal(err)
	}
	ctx := l.context(t.Context())
	count := func() (unpacked, blobs int) {
		t.Helper()
		err := errors.Join(
			l.client.SnapshotService(defaultSnapshotter).Walk(ctx, func(context.Context, snapshots.Info) error { unpacked++; return nil }),
			l.client.ContentStore().Walk(ctx, func(content.Info) error { blobs++; return nil }))
		if err != nil {
			t.Fatal(err)
		}
		return unpacked, blobs
	}
	if unpacked, blobs := count(); unpacked != 2 || blobs != 4 {
		t.Errorf("%d snapshots and %d blobs, want one of each for both layers, a configuration and a manifest", unpacked, blobs)
	}
	w := rundirtest.Layered{Workload: rundirtest.Echo{Mode: "keeps", Dir: dir}, Dir: base}
	second, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, blobs := count(); unpacked != 3 || blobs != 7 {
		t.Errorf("%d snapshots and %d blobs, want the base's but once", unpacked, blobs)
	}
	if a, b := first.(*image), second.(*image); a.Digest() == b.Digest() || a.chain == b.chain {
		t.Errorf("two images have the digest %s and the chain %s", a.Digest(), a.chain)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	inst, err := second.Start(t.Context(), func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	if answer, err := inst.Call(t.Context(), []byte("you")); err != nil || string(answer) != "hello the base, you" {
		t.Errorf("Call = %q, %v", answer, err)
	}
	if err := errors.Join(inst.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if unpacked, blobs := count(); unpacked+blobs != 0 {
		t.Errorf("%d snapshots and %d blobs are left", unpacked, blobs)
	}
}

// What containerd has is the image that the digests name.
func TestDigests(t *testing.T) {
	_, l, _ := connected(t)
	packed, _ := cachedLayer(t)
	img, err := l.store(t.Context(), packed)
	if err != nil {
		t.Fatal(err)
	}
	ctx := l.context(t.Context())
	record, err := l.client.ImageService().Get(ctx, img.name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := record.Config(ctx, l.client.ContentStore(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := record.Target.Digest.String(); got != packed.Digest || got != img.Digest() {
		t.Errorf("the manifest is %s, of the packed image %s, and Digest = %s", got, packed.Digest, img.Digest())
	}
	if got := config.Digest.String(); got != packed.ConfigDigest {
		t.Errorf("the configuration is %s, want %s", got, packed.ConfigDigest)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
}

func TestClosedImageLeavesTheDaemonEmpty(t *testing.T) {
	r, l, host := connected(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	first, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	inst, _, err := runtime.FirstAnswer(t.Context(), second, w.Request(), w.Check)
	if err != nil {
		t.Fatalf("after an equal image was closed: %v", err)
	}
	host.Add(inst.Scope())
	if err := errors.Join(inst.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	ctx := l.context(t.Context())
	containers, err := l.client.ContainerService().List(ctx)
	if err != nil || len(containers) > 0 {
		t.Errorf("containers left: %v, %v", containers, err)
	}
	if _, err := l.client.SnapshotService(defaultSnapshotter).Stat(ctx, second.(*image).chain); ignoreNotFound(err) != nil || err == nil {
		t.Errorf("the image's snapshot is left: %v", err)
	}
}

// A daemon that closing its directory did not end is ended all the same.
func TestDaemonEnds(t *testing.T) {
	d := &daemon{exited: make(chan struct{})}
	if err := d.run(exec.Command("sleep", "3600")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.end(); err != nil {
			t.Error(err)
		}
	}
}

func TestDaemonDies(t *testing.T) {
	r, l, host := connected(t)
	w := rundirtest.Echo{Dir: t.TempDir()}
	img, err := r.Prepare(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	if err := unix.Kill(l.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-l.daemon.exited
	if _, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {}); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("Start without a daemon: %v", err)
	}
	if err := inst.Close(); err == nil {
		t.Error("Close says that it removed a container that a dead daemon has")
	}
}
