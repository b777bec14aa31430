package containerd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

func ignorePhase(runtime.Phase, time.Time) {}

// foreign returns a runtime that uses the daemon of another, whose client it
// returns too, through a relay, and an instance that has to be killed.
func foreign(t *testing.T) (*Runtime, *rundirtest.Relay, *client.Client, *rundirtest.Host, *container) {
	t.Helper()
	_, l, host := connected(t)
	relay := rundirtest.NewRelay(t, host, l.address)
	r := New(Options{Address: relay.Socket})
	t.Cleanup(func() { r.Close() })
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "stubborn", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := img.Start(t.Context(), ignorePhase)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	return r, relay, l.client, host, inst.(*container)
}

// A guest whose end cannot be learned of any more is ended all the same.
func TestCloseAfterTheDaemonWasAway(t *testing.T) {
	r, relay, _, _, c := foreign(t)
	pid := c.task.pid
	relay.Cut()
	<-c.task.exited
	if c.task.err == nil {
		t.Fatal("waiting for the guest did not fail")
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := unix.Kill(pid, 0); err == nil {
		t.Error("the guest outlived Stop")
	}
	if err := errors.Join(c.Close(), r.Close()); err != nil {
		t.Error(err)
	}
}

// What a run could not remove from a daemon, the next one removes.
func TestCloseWithoutTheDaemon(t *testing.T) {
	r, relay, direct, host, c := foreign(t)
	namespace := r.link.namespace
	relay.Close()
	if err := c.Close(); err == nil || c.task == nil {
		t.Errorf("Close = %v of a container in a daemon that is away", err)
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "next run") {
		t.Errorf("Close = %v", err)
	}
	namespaces := func() []string {
		t.Helper()
		all, err := direct.NamespaceService().List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if !slices.Contains(namespaces(), namespace) {
		t.Fatal("nothing was left to be removed")
	}
	relay.Open(t)
	next := New(Options{Address: relay.Socket})
	if _, err := next.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if all := namespaces(); slices.Contains(all, namespace) {
		t.Errorf("namespaces %v", all)
	}
	if err := unix.Kill(host.PIDs()[0], 0); err == nil {
		t.Error("the guest is still there")
	}
}

// One that stores a blob in vain does not take it from another that does.
func TestOneOfTwoThatStoreTheSame(t *testing.T) {
	_, l, _ := connected(t)
	ctx := l.context(t.Context())
	whole := bytes.Repeat([]byte("blob "), 1<<18)
	blob := oci.Blob{Descriptor: ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromBytes(whole), Size: int64(len(whole))}}
	r, w := io.Pipe()
	blob.Open = func() (io.ReadCloser, error) { return r, nil }
	stored := make(chan error, 1)
	go func() { stored <- l.put(ctx, blob) }()
	if _, err := w.Write(whole[:len(whole)/2]); err != nil {
		t.Fatal(err)
	}
	other := blob
	other.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole[:10])), nil }
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := l.put(short, other); !errors.Is(err, oci.ErrImage) {
		t.Errorf("error %v of a blob that is too short, want ErrImage", err)
	}
	failed := errors.New("failed")
	other.Open = func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(failed)), nil }
	if err := l.put(ctx, other); !errors.Is(err, failed) || errors.Is(err, oci.ErrImage) {
		t.Errorf("error %v, want %v alone", err, failed)
	}
	w.Write(whole[len(whole)/2:])
	w.Close()
	if err := <-stored; err != nil {
		t.Error(err)
	}
}

// Who takes in the guest of a shim that has died is no part of it.
func TestScopeWithoutAShim(t *testing.T) {
	r, l, host := connected(t)
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "stubborn", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := img.Start(t.Context(), ignorePhase)
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	own := inst.Scope().Own
	if len(own) != 2 {
		t.Fatalf("Own = %v", own)
	}
	// containerd would end the guest of a shim that is dead.
	if err := errors.Join(unix.Kill(l.pid, unix.SIGSTOP), unix.Kill(own[1], unix.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	defer unix.Kill(l.pid, unix.SIGCONT)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if p, err := parent(own[0]); err != nil || time.Now().After(deadline) {
			t.Fatalf("the guest's parent is %d, %v", p, err)
		} else if p != own[1] {
			break
		}
	}
	if s := inst.Scope(); !slices.Equal(s.Own, own[:1]) {
		t.Errorf("Own = %v, want the guest %d alone", s.Own, own[0])
	}
}
