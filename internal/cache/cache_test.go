package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

func TestMakeOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := cache.Make(t.Context(), "kind", "key", func(dir string) error {
				made.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(filepath.Join(path, "file")); err != nil || string(b) != "content" {
				t.Errorf("entry has %q, %v", b, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

func TestMakeFails(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	broken := errors.New("broken")
	var half string
	if _, err := cache.Make(t.Context(), "kind", "key", func(dir string) error {
		half = dir
		os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return broken
	}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half an entry is left: %v", err)
	}
	path, err := cache.Make(t.Context(), "kind", "key", func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 0 {
		t.Errorf("the entry has %v of the failed one, error %v", entries, err)
	}
}

func TestMakeWaitsNoLongerThanItsContext(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	_, err := cache.Make(t.Context(), "kind", "key", func(string) error {
		cancel()
		_, err := cache.Make(ctx, "kind", "key", func(string) error { return nil })
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestDirNamesTheRemedy(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/proc/nowhere")
	if _, err := cache.Dir(); err == nil || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("error %v does not name the remedy", err)
	}
}

func TestKeyKeepsPartsApart(t *testing.T) {
	if cache.Key("ab", "c") == cache.Key("a", "bc") {
		t.Error("two lists of parts have one key")
	}
}
