package workload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxStaticSize is the size of the largest file of Static, in bytes.
const MaxStaticSize = 32 << 20

// Static serves files: it is Web, in Go alone, and answers a GET of a name with the
// file of that name in its directory, which it reads for each request. It is asked for
// one of size bytes, from 1 to MaxStaticSize, whose name tells its size in bytes or
// in units of 1024 of them, as 1KB, 64KB or 1MB. Where dir, absolute and there
// already, has no such file with the right content, Static writes it; it is the
// caller's to remove.
//
// One source is every side's, and reads a file into memory: the native server does not
// send it by sendfile, as one made of net/http's file server would.
func Static(l Language, dir string, size int64) (*Guest, error) {
	if size < 1 || size > MaxStaticSize {
		return nil, fmt.Errorf("workload static: size %d is not between 1 and %d", size, MaxStaticSize)
	}
	name, content := staticName(size), staticContent(size)
	if err := keep(filepath.Join(dir, name), content); err != nil {
		return nil, fmt.Errorf("workload static: %w", err)
	}
	return newWeb("static", l, "application/octet-stream", []Exchange{get("/"+name, content)}).WithMount(dir), nil
}

func staticName(size int64) string {
	for i, unit := range []string{"MB", "KB"} {
		if n := int64(1) << (20 - 10*i); size%n == 0 {
			return fmt.Sprint(size/n, unit)
		}
	}
	return fmt.Sprint(size, "B")
}

// staticContent is words that follow no pattern, so that a page in the wrong place is
// seen.
func staticContent(size int64) []byte {
	content := make([]byte, 0, size+3)
	for i := uint32(0); int64(len(content)) < size; i++ {
		content = binary.LittleEndian.AppendUint32(content, scatter(i))
	}
	return content[:size]
}

// keep makes a file have the content given. A guest that reads it meanwhile has the
// old or the new.
func keep(path string, content []byte) error {
	if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, content) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
