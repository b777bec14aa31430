package docker

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/rundir/rundirtest"
	"github.com/seed-0132abb7/wasmbench/runtime/oci"
)

// connected returns a runtime with a private daemon and its image of a guest.
// The test closes the runtime and checks that nothing is left then.
func connected(t testing.TB) (*Runtime, *image, *rundirtest.Host) {
	t.Helper()
	host := rundirtest.Watch(t)
	t.Setenv("DOCKER_HOST", "")
	r := New(Options{Private: true})
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
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return r, img.(*image), host
}

func TestImagesThatCannotBeRead(t *testing.T) {
	r, img, _ := connected(t)
	var whole bytes.Buffer
	if err := img.packed.WriteTar(&whole); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("failed")
	for name, content := range map[string][]byte{
		"garbage":   bytes.Repeat([]byte("garbage "), 1000),
		"truncated": whole.Bytes()[:whole.Len()/2],
	} {
		err := img.loadTar(t.Context(), func(w io.Writer) error { _, err := w.Write(content); return err })
		if !errors.Is(err, oci.ErrImage) {
			t.Errorf("%s: error %v, want ErrImage", name, err)
		}
	}
	if err := img.loadTar(t.Context(), func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want that of what writes the tar", err)
	}
	full := errors.New("Error processing tar file(exit status 1): write /guest: no space left on device")
	if err := refused(t.Context(), full); errors.Is(err, oci.ErrImage) || !errors.Is(err, full) {
		t.Errorf("error %v, want one that does not blame the image", err)
	}
	other := *img.packed
	other.ConfigDigest, other.Digest, other.ChainID = "sha256:1", "sha256:2", "sha256:3"
	if err := (&image{link: img.link, name: img.name, packed: &other}).verify(t.Context()); !errors.Is(err, oci.ErrImage) {
		t.Errorf("an image that is not the one packed: %v, want ErrImage", err)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	left, err := r.link.client.ImageList(t.Context(), client.ImageListOptions{All: true})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("images left: %+v, %v", left.Items, err)
	}
}

// What a guest wrote unasked does not keep its last words from being read.
func TestGuestThatChattersAndDies(t *testing.T) {
	r, _, host := connected(t)
	img, err := r.Prepare(t.Context(), rundirtest.Echo{Mode: "chatters", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
	if err != nil {
		t.Fatal(err)
	}
	host.Add(inst.Scope())
	life := inst.(instance).life
	<-life.exited
	_, err = inst.Call(t.Context(), []byte("you"))
	var exit *oci.ExitError
	if !errors.As(err, &exit) || exit.Status != 4 || exit.Stderr != "at last" {
		t.Errorf("error %v, want an *ExitError with status 4 and what the guest wrote at last", err)
	}
	select {
	case <-life.stream.read:
	default:
		t.Error("the end of what the guest wrote was not waited for")
	}
	if err := errors.Join(inst.Close(), img.Close()); err != nil {
		t.Error(err)
	}
}

func TestDaemonDies(t *testing.T) {
	for _, name := range []string{"dockerd", "containerd"} {
		t.Run(name, func(t *testing.T) {
			r, img, host := connected(t)
			inst, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {})
			if err != nil {
				t.Fatal(err)
			}
			host.Add(inst.Scope())
			d := r.link.private.dockerd
			if name == "containerd" {
				d = r.link.private.containerd
			}
			if err := unix.Kill(d.process.Pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-d.exited
			want := "the private " + name + " has ended"
			if _, err := img.Start(t.Context(), func(runtime.Phase, time.Time) {}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Start: %v, want %q", err, want)
			}
			if name == "containerd" {
				return // dockerd answers yet
			}
			if _, err := inst.Call(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Call: %v, want %q", err, want)
			}
			if err := inst.Close(); err == nil {
				t.Error("Close says that it removed a container that a dead daemon has")
			}
		})
	}
}
