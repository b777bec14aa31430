package pull

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// archive is a tar of entries that this user may unpack.
func archive(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode, h.Uid, h.Gid = 0o755, os.Getuid(), os.Getgid()
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestUnpackIsBounded(t *testing.T) {
	for size, accepted := range map[int64]bool{4: true, 5: true, 6: false} {
		files := archive(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 5}, tar.Header{Name: "b", Typeflag: tar.TypeReg, Size: size})
		if err := unpack(files, t.TempDir(), 10); (err == nil) != accepted {
			t.Errorf("%d bytes of 10: %v", 5+size, err)
		}
	}
}

func TestUnpackStaysInItsDirectory(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out := tar.Header{Name: "out", Linkname: outside, Typeflag: tar.TypeSymlink}
	for name, entries := range map[string][]tar.Header{
		"name":                   {{Name: "../x", Typeflag: tar.TypeReg}},
		"directory":              {{Name: "../x", Typeflag: tar.TypeDir}},
		"file through link":      {out, {Name: "out/x", Typeflag: tar.TypeReg}},
		"file over link":         {{Name: "x", Linkname: secret, Typeflag: tar.TypeSymlink}, {Name: "x", Typeflag: tar.TypeReg}},
		"directory over link":    {out, {Name: "out", Typeflag: tar.TypeDir}},
		"directory through link": {out, {Name: "out/x", Typeflag: tar.TypeDir}},
		"link through link":      {out, {Name: "out/x", Linkname: "y", Typeflag: tar.TypeSymlink}},
		"link of what is behind": {out, {Name: "x", Linkname: "out/secret", Typeflag: tar.TypeLink}},
		"link of what is above":  {{Name: "x", Linkname: "../../" + outside + "/secret", Typeflag: tar.TypeLink}},
		"link of the host's":     {{Name: "x", Linkname: secret, Typeflag: tar.TypeLink}},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := os.Stat(outside)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "in")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unpack(archive(t, entries...), dir, 10); err == nil {
				t.Error("it was unpacked")
			}
			after, err := os.Stat(outside)
			if err != nil || after.Mode() != before.Mode() {
				t.Errorf("the directory outside has mode %v, had %v", after.Mode(), before.Mode())
			}
			if files, err := os.ReadDir(outside); err != nil || len(files) != 1 {
				t.Errorf("outside are %v, %v", files, err)
			}
			if above, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(above) != 1 {
				t.Errorf("above are %v, %v", above, err)
			}
		})
	}
}

func TestUnpackOfWhatBreaksOff(t *testing.T) {
	whole := archive(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 2000}).Bytes()
	if err := unpack(bytes.NewReader(whole[:1500]), t.TempDir(), 1<<20); err == nil {
		t.Error("half a tar was unpacked")
	}
}
