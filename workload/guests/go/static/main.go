// Static is a guest: GET of a name answers with the file of that name in the working
// directory, read anew for each request.
package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/seed-0132abb7/wasmbench/workload/guests/go/driver"
	"github.com/seed-0132abb7/wasmbench/workload/guests/go/web"
)

func serve(dst []byte, r web.Request) (status int, contentType string, answer []byte) {
	if r.Method != "GET" && r.Method != "HEAD" {
		return 405, "text/plain", append(dst, "want GET"...)
	}
	path, _, _ := strings.Cut(r.Target, "?")
	answer, err := appendFile(dst, strings.TrimPrefix(path, "/"))
	switch {
	case err == nil:
		return 200, "application/octet-stream", answer
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENAMETOOLONG):
		return 404, "text/plain", append(dst, "no such file"...)
	}
	return 500, "text/plain", append(dst, err.Error()...)
}

// appendFile appends what is in a file, which lies in no other directory.
func appendFile(dst []byte, name string) ([]byte, error) {
	if name == "" || name == ".." || strings.Contains(name, "/") {
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	begin, size := len(dst), int(info.Size())
	dst = slices.Grow(dst, size)[:begin+size]
	_, err = io.ReadFull(f, dst[begin:])
	return dst, err
}

func init() { driver.RegisterWeb(serve) }

func main() { driver.Main() }
