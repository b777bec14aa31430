// Package cache keeps what is dear to make: built guests, engine hosts,
// compiled modules, daemons. Everything lies below one directory of the user's
// cache and is safe to delete when nothing of wasmbench runs.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Dir returns the cache directory, made if it is missing. It is wasmbench below
// os.UserCacheDir, so XDG_CACHE_HOME moves it.
func Dir() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache directory (set HOME or XDG_CACHE_HOME): %w", err)
	}
	dir := filepath.Join(user, "wasmbench")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache directory (set XDG_CACHE_HOME to a directory that can be written): %w", err)
	}
	return dir, nil
}

// Key derives a name from everything that decides what is made: sources,
// versions, flags. The parts are kept apart, so ("ab", "c") is not ("a", "bc").
func Key(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// FileKey is Key over the content of files.
func FileKey(paths ...string) (string, error) {
	parts := make([]string, len(paths))
	for i, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return "", err
		}
		parts[i] = string(b)
	}
	return Key(parts...), nil
}

// Make returns the path of the entry kind/key, calling make first where there
// is none. Make is given an empty directory to fill, which becomes the entry
// only if it returns nil. Of several processes that want one entry, one makes
// it and the others wait.
func Make(ctx context.Context, kind, key string, make func(dir string) error) (string, error) {
	root, err := Dir()
	if err != nil {
		return "", err
	}
	entry := filepath.Join(root, kind, key)
	if _, err := os.Stat(entry); err == nil {
		return entry, nil
	}
	if err := os.MkdirAll(filepath.Dir(entry), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, entry+".lock")
	if err != nil {
		return "", fmt.Errorf("waiting for another process that makes %s: %w", entry, err)
	}
	defer unlock()
	if _, err := os.Stat(entry); !errors.Is(err, fs.ErrNotExist) {
		return entry, err
	}
	// Whoever made this directory is dead, for we hold the lock.
	tmp := entry + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", err
	}
	if err := make(tmp); err != nil {
		os.RemoveAll(tmp)
		return "", err
	}
	if err := os.Rename(tmp, entry); err != nil {
		return "", err
	}
	return entry, nil
}

// lock takes an exclusive lock on path, which ends with the process. The file
// stays: to remove it under a waiter would let two processes hold the lock.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			f.Close()
			return nil, &fs.PathError{Op: "flock", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Size adds up the bytes of the regular files at and below path.
func Size(path string) (sum int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
