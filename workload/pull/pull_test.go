package pull_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-0132abb7/wasmbench/workload"
	"github.com/seed-0132abb7/wasmbench/workload/pull"
)

var written = time.Unix(1_600_000_000, 0)

// A file is an entry of a layer; a name that ends with / is a directory.
type file struct {
	name, content string
	kind          byte // of a tar entry, a regular file where it is 0
	mode          int64
}

func layer(t *testing.T, files ...file) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Mode: f.mode, ModTime: written, Uid: 12, Gid: 34}
		switch f.kind {
		case 0:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(f.content))
		case tar.TypeLink, tar.TypeSymlink:
			h.Linkname = f.content
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if f.kind == 0 {
			io.WriteString(w, f.content)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func image(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch})
	if err == nil {
		img, err = mutate.AppendLayers(img, layers...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A shelf is a registry in this process.
type shelf struct {
	host     string
	requests atomic.Int32
	damage   atomic.Pointer[string] // the digest of a blob that is answered with other bytes
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if os.Geteuid() != 0 {
		t.Skip("images are unpacked as root only")
	}
	s := new(shelf)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if d := s.damage.Load(); d != nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/blobs/"+*d) {
			io.WriteString(w, "damaged")
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// push puts an image or an index on the shelf and returns its reference.
func (s *shelf) push(t *testing.T, it interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := it.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(s.host + "/app@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	switch it := it.(type) {
	case v1.Image:
		err = remote.Write(ref, it)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, it)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref.Name()
}

func TestBase(t *testing.T) {
	s := newShelf(t)
	img := image(t, runtime.GOARCH,
		layer(t,
			file{"usr/", "", tar.TypeDir, 0o755}, file{"usr/bin/", "", tar.TypeDir, 0o711},
			file{"usr/bin/node", "node of below", 0, 0o755}, file{"usr/bin/su", "su", 0, 0o4755},
			file{"usr/bin/nodejs", "usr/bin/node", tar.TypeLink, 0}, file{"bin", "usr/bin", tar.TypeSymlink, 0o777},
			file{"etc/gone", "gone", 0, 0o644}, file{"var/hidden/old", "old", 0, 0o644},
			file{"dev/null", "", tar.TypeChar, 0o666}, file{"run", "/var/run", tar.TypeSymlink, 0o777},
		),
		layer(t,
			file{"etc/.wh.gone", "", 0, 0o644}, file{"var/hidden/.wh..wh..opq", "", 0, 0o644}, file{"var/hidden/new", "new", 0, 0o600},
			file{"./usr/local/bin/node", "node of above", 0, 0o755},
		),
	)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image(t, "riscv64", layer(t, file{"other", "", 0, 0o644})), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "riscv64"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}},
	)
	for kind, ref := range map[string]string{"image": s.push(t, img), "index": s.push(t, index)} {
		t.Run(kind, func(t *testing.T) {
			dir, origin, err := pull.Base(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(origin, ref) || !strings.Contains(origin, "linux/"+runtime.GOARCH) {
				t.Errorf("the origin is %q", origin)
			}
			for file, want := range map[string]string{
				"usr/bin/node": "node of below", "usr/bin/nodejs": "node of below", "bin/node": "node of below",
				"usr/local/bin/node": "node of above", "var/hidden/new": "new",
			} {
				if b, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(b) != want {
					t.Errorf("%s has %q, %v; want %q", file, b, err, want)
				}
			}
			for _, file := range []string{"etc/gone", "var/hidden/old", "dev/null", "other", "etc/.wh.gone"} {
				if _, err := os.Lstat(filepath.Join(dir, file)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is there: %v", file, err)
				}
			}
			for file, mode := range map[string]fs.FileMode{"usr/bin/su": 0o755 | fs.ModeSetuid, "usr/bin": 0o711 | fs.ModeDir, "var/hidden/new": 0o600} {
				if info, err := os.Lstat(filepath.Join(dir, file)); err != nil || info.Mode() != mode || !info.IsDir() && !info.ModTime().Equal(written) {
					t.Errorf("%s: %v, %v; want mode %v and the time in the layer", file, info, err, mode)
				}
			}
			if to, err := os.Readlink(filepath.Join(dir, "run")); err != nil || to != "/var/run" {
				t.Errorf("run leads to %q, %v", to, err)
			}
			before := s.requests.Load()
			again, _, err := pull.Base(t.Context(), ref)
			if err != nil || again != dir || s.requests.Load() != before {
				t.Errorf("a second Base = %s, %v after %d requests; want %s and none", again, err, s.requests.Load()-before, dir)
			}
			guest, err := workload.Hello(workload.Node).WithBase(dir, origin).Artifact(t.Context(), workload.RootFS)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(guest, "guest")); err != nil || !bytes.HasPrefix(b, []byte("#!/usr/local/bin/node\n")) {
				t.Errorf("the guest on it begins %.40q, %v", b, err)
			}
		})
	}
}

func TestBaseOfHostileImages(t *testing.T) {
	s := newShelf(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	for name, test := range map[string]struct {
		files   []file
		refused bool // rather than unpacked without what is hostile
	}{
		"name upwards":           {[]file{{up + outside[1:] + "/x", "x", 0, 0o644}}, true},
		"name from within":       {[]file{{"a/" + up + outside[1:] + "/x", "x", 0, 0o644}}, true},
		"through absolute link":  {[]file{{"out", outside, tar.TypeSymlink, 0o777}, {"out/x", "x", 0, 0o644}}, false},
		"through two links":      {[]file{{"a", outside, tar.TypeSymlink, 0o777}, {"b", "a", tar.TypeSymlink, 0o777}, {"b/x", "x", 0, 0o644}}, false},
		"directory through link": {[]file{{"out", outside, tar.TypeSymlink, 0o777}, {"out/x/", "", tar.TypeDir, 0o755}}, false},
		"link through link":      {[]file{{"out", outside, tar.TypeSymlink, 0o777}, {"out/x", "/etc", tar.TypeSymlink, 0o777}}, false},
		"link to what is not":    {[]file{{"x", "nowhere", tar.TypeLink, 0}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, err := pull.Base(t.Context(), s.push(t, image(t, runtime.GOARCH, layer(t, test.files...))))
			if (err != nil) != test.refused || errors.As(err, new(*workload.Unavailable)) {
				t.Errorf("%s, %v; want an error that is no *Unavailable: %v", dir, err, test.refused)
			}
			if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
				t.Errorf("written outside: %v, %v", left, err)
			}
		})
	}
	// A hard link out of the image must not give a name to a file of the host.
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{secret, up + secret[1:], "out/secret"} {
		_, _, err := pull.Base(t.Context(), s.push(t, image(t, runtime.GOARCH, layer(t, file{"out", outside, tar.TypeSymlink, 0o777}, file{"x", to, tar.TypeLink, 0}))))
		if links := hardLinks(t, secret); links != 1 {
			t.Errorf("hard link to %s: the file has %d names now (error %v)", to, links, err)
		}
	}
}

func TestBaseThatCannotBeHad(t *testing.T) {
	s := newShelf(t)
	good := image(t, runtime.GOARCH, layer(t, file{"x", "x", 0, 0o644}))
	ref := s.push(t, good)
	closed := httptest.NewServer(nil)
	closed.Close()
	absent := strings.Repeat("0", 64)
	for _, test := range []struct {
		name, ref   string
		unavailable bool
		says        string
	}{
		{"tag", s.host + "/app:latest", false, "sha256"},
		{"no digest", "node", false, "sha256"},
		{"half a digest", "node@sha256:12", false, "sha256"},
		{"no such image", s.host + "/app@sha256:" + absent, true, "does not have it"},
		{"nobody listens", strings.TrimPrefix(closed.URL, "http://") + "/app@sha256:" + absent, true, "cannot be reached"},
		{"other machine", s.push(t, image(t, "riscv64", layer(t))), false, "riscv64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := pull.Base(t.Context(), test.ref)
			if err == nil || errors.As(err, new(*workload.Unavailable)) != test.unavailable || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.ref) {
				t.Errorf("error %v; want one that names the image and %q, unavailable: %v", err, test.says, test.unavailable)
			}
		})
	}
	manifest, err := good.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range []string{manifest.Config.Digest.String(), manifest.Layers[0].Digest.String()} {
		s.damage.Store(&blob)
		if _, _, err := pull.Base(t.Context(), ref); err == nil || errors.As(err, new(*workload.Unavailable)) || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s is damaged: error %v", blob, err)
		}
	}
	s.damage.Store(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := pull.Base(ctx, ref); !errors.Is(err, context.Canceled) || errors.As(err, new(*workload.Unavailable)) {
		t.Errorf("given up: error %v", err)
	}
	if _, _, err := pull.Base(t.Context(), ref); err != nil {
		t.Errorf("what has failed cannot be tried again: %v", err)
	}
}

func hardLinks(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}
