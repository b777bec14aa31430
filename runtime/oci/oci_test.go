package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// tree makes a root file system; the order of the steps and the times differ
// with each call.
func tree(t *testing.T, reverse bool) string {
	t.Helper()
	root := t.TempDir()
	steps := []func() error{
		func() error { return os.WriteFile(filepath.Join(root, "guest"), []byte("#!/nothing"), 0o755) },
		func() error { return os.MkdirAll(filepath.Join(root, "a", "b"), 0o755) },
		func() error { return os.Symlink("guest", filepath.Join(root, "link")) },
		func() error { return os.Mkdir(filepath.Join(root, "tmp"), 0o755) },
	}
	if reverse {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if reverse {
		if err := os.Chtimes(filepath.Join(root, "guest"), time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestEqualTreesMakeEqualImages(t *testing.T) {
	var tars [2]bytes.Buffer
	var images [2]*Image
	for i, reverse := range []bool{false, true} {
		img, err := Pack(tree(t, reverse))
		if err != nil {
			t.Fatal(err)
		}
		if err := img.WriteTar(&tars[i]); err != nil {
			t.Fatal(err)
		}
		images[i] = img
	}
	if images[0].Ref != images[1].Ref || images[0].DiffID != images[1].DiffID {
		t.Errorf("%+v and %+v", images[0], images[1])
	}
	if !bytes.Equal(tars[0].Bytes(), tars[1].Bytes()) {
		t.Error("the tars differ")
	}
	if images[0].Bytes <= 0 || images[0].Bytes > int64(tars[0].Len()) {
		t.Errorf("Bytes = %d of a tar of %d", images[0].Bytes, tars[0].Len())
	}
}

func TestAnImageIsReadBack(t *testing.T) {
	packed, err := Pack(tree(t, false))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(packed.WriteTar(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(config.Config.Entrypoint, []string{Entrypoint}) || config.OS != "linux" {
		t.Errorf("config %+v", config)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("Layers = %v, %v", layers, err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var got []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name+" "+h.Linkname)
	}
	want := []string{"drwxr-xr-x a/ ", "drwxr-xr-x a/b/ ", "-rwxr-xr-x guest ", "Lrwxrwxrwx link guest", "dtrwxrwxrwx tmp/ "}
	if !slices.Equal(got, want) {
		t.Errorf("entries %q, want %q", got, want)
	}
}

func TestTreesThatAreNoImage(t *testing.T) {
	root := tree(t, false)
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(root); err == nil || !strings.Contains(err.Error(), "fifo") {
		t.Errorf("a FIFO was packed: %v", err)
	}
	if _, err := Pack(filepath.Join(root, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
}

func TestSpec(t *testing.T) {
	spec, err := Spec("/wasmbench/run/c1")
	if err != nil {
		t.Fatal(err)
	}
	var namespaces []specs.LinuxNamespaceType
	for _, n := range spec.Linux.Namespaces {
		namespaces = append(namespaces, n.Type)
		if n.Path != "" {
			t.Errorf("namespace %+v is not of the container's own", n)
		}
	}
	for _, want := range []specs.LinuxNamespaceType{"pid", "ipc", "uts", "mount", "network"} {
		if !slices.Contains(namespaces, want) {
			t.Errorf("no %s namespace", want)
		}
	}
	if spec.Linux.CgroupsPath != "/wasmbench/run/c1" || !slices.Equal(spec.Process.Args, []string{Entrypoint}) || spec.Root.Path != "rootfs" {
		t.Errorf("spec %+v", spec)
	}
	if len(spec.Linux.MaskedPaths) == 0 || !spec.Process.NoNewPrivileges || spec.Root.Readonly {
		t.Errorf("spec %+v", spec)
	}
	paths := 0
	for _, e := range spec.Process.Env {
		if strings.HasPrefix(e, "PATH=") {
			paths++
		}
	}
	if paths != 1 {
		t.Errorf("environment %q", spec.Process.Env)
	}
}

func TestClassifyCreate(t *testing.T) {
	cause := errors.New("exit status 1")
	for message, want := range map[string]bool{
		`exec: "/guest": stat /guest: no such file or directory`: true,
		`exec /guest: exec format error`:                         true,
		`exec: "/guest": permission denied`:                      true,
		`mounting "/proc": permission denied`:                    false,
	} {
		err := ClassifyCreate(cause, message)
		if errors.Is(err, ErrCommand) != want || !errors.Is(err, cause) {
			t.Errorf("%s: %v", message, err)
		}
	}
}
