package containerd

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
	"github.com/seed-0132abb7/wasmbench/workload"
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

func packed(t *testing.T) []byte {
	t.Helper()
	root, err := rundirtest.Echo{Dir: t.TempDir()}.Artifact(t.Context(), workload.RootFS)
	if err != nil {
		t.Fatal(err)
	}
	img, err := oci.Pack(root)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := img.WriteTar(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withBrokenLayer changes one byte in the middle of the layer.
func withBrokenLayer(t *testing.T, whole []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	r, w := tar.NewReader(bytes.NewReader(whole)), tar.NewWriter(&b)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".tar.gz") {
			content[len(content)/2] ^= 0xff
		}
		if err := errors.Join(w.WriteHeader(h), func() error { _, err := w.Write(content); return err }()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImagesThatCannotBeRead(t *testing.T) {
	_, l, _ := connected(t)
	whole := packed(t)
	for name, content := range map[string][]byte{
		"garbage":      bytes.Repeat([]byte("garbage "), 1000),
		"truncated":    whole[:len(whole)/2],
		"broken layer": withBrokenLayer(t, whole),
		"empty":        nil,
	} {
		_, err := l.load(t.Context(), bytes.NewReader(content))
		if !errors.Is(err, oci.ErrImage) {
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
