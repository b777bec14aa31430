package oci

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// compressed returns how long b is by gzip's default level.
func compressed(t *testing.T, b []byte) int64 {
	t.Helper()
	var to bytes.Buffer
	z := gzip.NewWriter(&to)
	_, err := z.Write(b)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return int64(to.Len())
}

// The sizes are those of the image that Pack makes, compressed better: they are added up
// here from the parts that a registry is given.
func TestMeasure(t *testing.T) {
	base, app := tree(t, false), t.TempDir()
	text := []byte(strings.Repeat("some text that is longer when it is compressed fast, ", 200) + strings.Repeat("and other text. ", 300))
	steps := []error{
		os.WriteFile(filepath.Join(app, "guest"), text, 0o755),
		os.Link(filepath.Join(app, "guest"), filepath.Join(app, "other")),
		os.Symlink("guest", filepath.Join(app, "link")),
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	packed, err := Pack(t.Context(), base, app)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := packed.Blobs()
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for n, b := range blobs {
		if n >= 2 { // the configuration and the manifest
			want += b.Size
			continue
		}
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		tar, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		size := compressed(t, tar)
		// The manifest has it in as many digits.
		want += size + int64(len(strconv.FormatInt(size, 10))-len(strconv.FormatInt(b.Size, 10)))
	}
	for range 2 {
		got, err := Measure(t.Context(), base, app)
		if err != nil || got.Compressed != want || got.Unpacked != int64(len("#!/nothing")+len(text)) {
			t.Errorf("Measure = %+v, %v; want %d compressed", got, err, want)
		}
	}
	if got, err := Measure(t.Context(), app, base); err != nil || got.Unpacked != int64(len("#!/nothing")+len(text)) {
		t.Errorf("the other way round it is %+v, %v", got, err)
	}
	if _, err := Measure(t.Context(), base, filepath.Join(base, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a tree that is not there: %v", err)
	}
}

// Of what is in the cache the sizes are kept, and nothing else.
func TestMeasureIsCached(t *testing.T) {
	user := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", user)
	root := filepath.Join(user, "wasmbench", "base", "key", "rootfs")
	if err := errors.Join(os.MkdirAll(root, 0o755), os.WriteFile(filepath.Join(root, "guest"), []byte("one"), 0o755)); err != nil {
		t.Fatal(err)
	}
	// The sizes that another compressor came to are none of this one's.
	other, err := cacheKey(root, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Make(t.Context(), "measured", other, func(dir string) error { return layerMeta{Files: 5}.write(dir) }); err != nil {
		t.Fatal(err)
	}
	first, err := Measure(t.Context(), root)
	if err != nil || first.Unpacked != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	// Nobody may do this; here it tells whether the tree is read again.
	if err := os.WriteFile(filepath.Join(root, "guest"), []byte("changed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if again, err := Measure(t.Context(), root); again != first || err != nil {
		t.Errorf("%+v, %v; it was %+v", again, err, first)
	}
	if lower, err := Measure(t.Context(), root, t.TempDir()); lower.Unpacked != 7 || err != nil {
		t.Errorf("below another it is %+v, %v, and keeps its times", lower, err)
	}
	if kept, err := filepath.Glob(filepath.Join(user, "wasmbench", "*", "*", layerFile)); len(kept) != 0 || err != nil {
		t.Errorf("kept are %q, %v", kept, err)
	}
}

func TestMeasureIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Measure(ctx, tree(t, false)); !errors.Is(err, context.Canceled) {
		t.Errorf("Measure: %v", err)
	}
	if _, err := MeasureFiles(ctx, file); !errors.Is(err, context.Canceled) {
		t.Errorf("MeasureFiles: %v", err)
	}
}

func TestMeasureFiles(t *testing.T) {
	dir := t.TempDir()
	text := []byte(strings.Repeat("text ", 1000))
	var want Sizes
	var files []string
	for n, content := range [][]byte{text, nil, text} {
		file := filepath.Join(dir, string(rune('a'+n)))
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		want.Unpacked += int64(len(content))
		want.Compressed += compressed(t, content)
	}
	if got, err := MeasureFiles(t.Context(), files...); got != want || err != nil {
		t.Errorf("MeasureFiles = %+v, %v; want %+v", got, err, want)
	}
	if got, err := MeasureFiles(t.Context()); got != (Sizes{}) || err != nil {
		t.Errorf("of no files %+v, %v", got, err)
	}
	if _, err := MeasureFiles(t.Context(), files[0], filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
}
