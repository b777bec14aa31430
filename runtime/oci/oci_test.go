package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload"
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
		img, err := Pack(t.Context(), tree(t, reverse))
		if err != nil {
			t.Fatal(err)
		}
		if err := img.WriteTar(&tars[i]); err != nil {
			t.Fatal(err)
		}
		images[i] = img
	}
	if images[0].Ref != images[1].Ref || images[0].Digest != images[1].Digest || images[0].ChainID != images[1].ChainID {
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
	packed, err := Pack(t.Context(), tree(t, false))
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

// entries packs trees and reads the layer at index back, as one line an entry.
func entries(t *testing.T, index int, roots ...string) (lines []string) {
	t.Helper()
	packed, err := Pack(t.Context(), roots...)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := packed.Blobs()
	if err != nil || len(blobs) != len(roots)+2 {
		t.Fatalf("%d blobs of %d layers, %v", len(blobs), len(roots), err)
	}
	content, err := blobs[index].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	z, err := gzip.NewReader(content)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%v %d:%d %s %q %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Name, h.Linkname, b))
	}
}

// A distribution has files of several owners and names, and some that set the
// user.
func TestWhatADistributionHas(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	steps := []error{
		os.MkdirAll(at("var/cache"), 0o755),
		os.WriteFile(at("su"), []byte("#!"), 0o755),
		os.Chmod(at("su"), 0o755|os.ModeSetuid),
		os.Link(at("su"), at("sudo")),
		os.Symlink("/usr/bin", at("bin")),
		os.WriteFile(at("alone"), []byte("x"), 0o600),
		os.Link(at("alone"), filepath.Join(t.TempDir(), "elsewhere")),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == 0 {
		owner = 6
		if err := os.Lchown(at("var/cache"), owner, 12); err != nil {
			t.Fatal(err)
		}
	}
	got := entries(t, 0, root)
	uid, gid := os.Geteuid(), os.Getegid()
	cacheGid := gid
	if uid == 0 {
		cacheGid = 12
	}
	want := []string{
		fmt.Sprintf(`-rw------- %d:%d alone "" x`, uid, gid),
		fmt.Sprintf(`Lrwxrwxrwx %d:%d bin "/usr/bin" `, uid, gid),
		fmt.Sprintf(`urwxr-xr-x %d:%d su "" #!`, uid, gid),
		fmt.Sprintf(`urwxr-xr-x %d:%d sudo "su" `, uid, gid),
		fmt.Sprintf(`drwxr-xr-x %d:%d var/ "" `, uid, gid),
		fmt.Sprintf(`drwxr-xr-x %d:%d var/cache/ "" `, owner, cacheGid),
	}
	if !slices.Equal(got, want) {
		t.Errorf("entries\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The layers are in the order given, of any base, and only the top one differs
// between images on one base.
func TestLayers(t *testing.T) {
	base, app, other := tree(t, false), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(app, "guest"), []byte("the app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, 1, base, app); len(got) != 1 || !strings.HasSuffix(got[0], "the app") {
		t.Errorf("the second layer has %q", got)
	}
	one, err1 := Pack(t.Context(), base, app)
	two, err2 := Pack(t.Context(), base, other)
	alone, err3 := Pack(t.Context(), app)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, i := range []*Image{one, two, alone} {
		for _, s := range []string{i.Digest, i.ConfigDigest, i.ChainID} {
			if seen[s] || !strings.HasPrefix(s, "sha256:") {
				t.Errorf("%s is no digest of its own", s)
			}
			seen[s] = true
		}
	}
	if one.Bytes <= alone.Bytes {
		t.Errorf("two layers have %d bytes, one of them %d", one.Bytes, alone.Bytes)
	}
	a, err1 := one.Blobs()
	b, err2 := two.Blobs()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if a[0].Digest != b[0].Digest || a[1].Digest == b[1].Digest {
		t.Error("images on one base do not share its layer, or share the other")
	}
	for _, blob := range a {
		content, err := blob.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := digest.FromReader(content)
		if err != nil || got != blob.Digest {
			t.Errorf("%s has the digest %s, %v, and was called %s", blob.MediaType, got, err, blob.Digest)
		}
		content.Close()
	}
}

// What is in the cache is packed once, but again if it was made again; what is
// not in the cache is packed each time. The bytes are the same.
func TestCachedLayers(t *testing.T) {
	user := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", user)
	root := filepath.Join(user, "wasmbench", "base", "key", "rootfs")
	pack := func() string {
		t.Helper()
		img, err := Pack(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		return img.Digest
	}
	fill := func(content string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(root, 0o755), os.WriteFile(filepath.Join(root, "guest"), []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	fill("one")
	first := pack()
	// Nobody may do this; here it tells whether the tree is read again.
	if err := os.WriteFile(filepath.Join(root, "guest"), []byte("changed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if pack() != first {
		t.Error("a layer in the cache was made again")
	}
	if err := os.Rename(root, root+".old"); err != nil {
		t.Fatal(err)
	}
	fill("two")
	if pack() == first {
		t.Error("a tree that was made again has the layer of the first")
	}
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "guest"), []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(elsewhere, "guest"), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		img, err := Pack(t.Context(), elsewhere)
		if err != nil {
			t.Fatal(err)
		}
		if (img.Digest == first) != (content == "one") {
			t.Errorf("%s has the digest %s; that of one is %s", content, img.Digest, first)
		}
	}
}

func TestPackingIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pack(ctx, tree(t, false)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestPackModule(t *testing.T) {
	module := filepath.Join(t.TempDir(), "any.wasm")
	if err := os.WriteFile(module, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	packed, err := PackModule(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	config, err := packed.img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Config.Entrypoint, []string{"/guest.wasm"}) || config.OS != "linux" {
		t.Errorf("config %+v", config)
	}
	if _, err := PackModule(t.Context(), module+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
}

func TestTreesOfAWorkload(t *testing.T) {
	own := t.TempDir()
	w := workload.Prebuilt{Label: "own", Files: map[workload.Form]string{workload.RootFS: own}}
	for base, want := range map[string][]string{"": {own}, "/base": {"/base", own}} {
		got, err := Trees(t.Context(), layered{w, base, nil}, workload.RootFS)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Trees = %q, %v, want %q", got, err, want)
		}
	}
	if got, err := Trees(t.Context(), w, workload.RootFS); err != nil || !slices.Equal(got, []string{own}) {
		t.Errorf("Trees = %q, %v", got, err)
	}
	absent := &workload.Unavailable{What: "base"}
	if _, err := Trees(t.Context(), layered{w, "", absent}, workload.RootFS); !errors.Is(err, absent) {
		t.Errorf("error %v, want %v", err, absent)
	}
	if _, err := Trees(t.Context(), w, workload.ServerRootFS); !errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("error %v, want an *Unavailable", err)
	}
}

type layered struct {
	workload.Prebuilt
	base string
	err  error
}

func (l layered) Base(context.Context) (string, string, error) { return l.base, "a test", l.err }

func TestTreesThatAreNoImage(t *testing.T) {
	root := tree(t, false)
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(t.Context(), root); err == nil || !strings.Contains(err.Error(), "fifo") {
		t.Errorf("a FIFO was packed: %v", err)
	}
	if _, err := Pack(t.Context(), filepath.Join(root, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
}

func TestSpec(t *testing.T) {
	spec, err := Spec(Container{Cgroup: "/wasmbench/run/c1"})
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
	serving, err := Spec(Container{Cgroup: "/wasmbench/run/c1", Args: []string{Entrypoint, "127.0.0.1:80"}, HostNetwork: true})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(serving.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace }) {
		t.Error("a network namespace in the host's network")
	}
	if !slices.Equal(serving.Process.Args, []string{Entrypoint, "127.0.0.1:80"}) || len(serving.Linux.Namespaces) != len(namespaces)-1 {
		t.Errorf("spec %+v", serving)
	}
	const path = "/proc/1/fd/3"
	if _, err := Spec(Container{Cgroup: "/wasmbench/run/c1", HostNetwork: true, Network: path}); err == nil {
		t.Error("a container in two networks")
	}
	joining, err := Spec(Container{Cgroup: "/wasmbench/run/c1", Network: path})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(joining.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path}) || len(joining.Linux.Namespaces) != len(namespaces) {
		t.Errorf("namespaces %+v, want that at %s", joining.Linux.Namespaces, path)
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

// Only what runc's init says tells of a missing interpreter, not what a guest
// says of other programs.
func TestClassifyExit(t *testing.T) {
	cause := errors.New("no answer")
	for stderr, want := range map[string]string{
		"exec /guest: no such file or directory":               "interpreter",
		"exec /guest: exec format error":                       "cannot be executed",
		"cannot exec /guest: no such file or directory":        "",
		"exec /usr/bin/env: no such file or directory":         "",
		"listen tcp 127.0.0.1:1: bind: address already in use": "",
	} {
		err := ClassifyExit(&ExitError{Status: -1, Stderr: stderr, Err: cause})
		if errors.Is(err, ErrCommand) != (want != "") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", stderr, err)
		}
		if !errors.As(err, new(*ExitError)) || !errors.Is(err, cause) {
			t.Errorf("%s: %v does not wrap what it is about", stderr, err)
		}
	}
}

func TestWithLog(t *testing.T) {
	cause := errors.New("no answer")
	if err := WithLog(cause, ""); err != cause {
		t.Errorf("without a log: %v", err)
	}
	if err := WithLog(cause, "a line"); !errors.Is(err, cause) || !strings.Contains(err.Error(), "a line") {
		t.Errorf("with a log: %v", err)
	}
}
