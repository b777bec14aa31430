package wasmedge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/internal/engine"
)

// PrefixVariable names the environment variable that names the only directory
// in which libwasmedge is looked for: its headers in include/wasmedge, its
// library in lib, lib64 or a directory of lib.
const PrefixVariable = "WASMBENCH_LIBWASMEDGE"

// release is the release of libwasmedge that WasmEdge-go v0.14 is made for.
const release = "0.14."

const remedy = "run scripts/libwasmedge.sh, or install libwasmedge 0.14 with its headers and let " + PrefixVariable + " name its prefix"

// library finds libwasmedge in the prefix that the environment names, or in the
// system's, or in the one that scripts/libwasmedge.sh makes.
func library(context.Context) (engine.Library, error) {
	prefixes, err := candidates()
	if err != nil {
		return engine.Library{}, err
	}
	return search(prefixes)
}

// search returns the library of the first prefix that has it whole.
func search(prefixes []string) (engine.Library, error) {
	var found []string // of other versions
	var broken error   // why the first that cannot be used cannot be
	for _, prefix := range prefixes {
		version, err := headerVersion(prefix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			broken = cmp.Or(broken, unavailable("libwasmedge", "its version could not be read", err))
			continue
		}
		if !strings.HasPrefix(version, release) {
			found = append(found, version+" in "+prefix)
			continue
		}
		lib, err := link(prefix)
		if err == nil {
			return lib, nil
		}
		broken = cmp.Or(broken, err)
	}
	if broken != nil {
		return engine.Library{}, broken
	}
	if len(found) > 0 {
		return engine.Library{}, unavailable("libwasmedge of another version", fmt.Sprintf("found %s, needed %sx", strings.Join(found, ", "), release), nil)
	}
	return engine.Library{}, unavailable("libwasmedge", "there is no include/wasmedge/version.h in "+strings.Join(prefixes, ", "), nil)
}

func unavailable(what, why string, err error) error {
	return &runtime.Unavailable{What: what, Why: why, Fix: remedy, Err: err}
}

// candidates returns where libwasmedge may be, the best first.
func candidates() ([]string, error) {
	if prefix := os.Getenv(PrefixVariable); prefix != "" {
		return []string{prefix}, nil
	}
	root, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	private := filepath.Join(root, "libwasmedge")
	made, err := filepath.Glob(filepath.Join(private, release+"*"))
	if err != nil {
		return nil, err
	}
	if len(made) == 0 {
		made = []string{private} // so that an error says where it would be
	}
	slices.Reverse(made)
	return append([]string{"/usr", "/usr/local"}, made...), nil
}

var versionMacro = regexp.MustCompile(`(?m)^#define WASMEDGE_VERSION "([^"]*)"`)

func headerVersion(prefix string) (string, error) {
	path := filepath.Join(prefix, "include/wasmedge/version.h")
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	m := versionMacro.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("%s does not define WASMEDGE_VERSION", path)
	}
	return string(m[1]), nil
}

// link tells how to link with the library in prefix. Where a dynamic linker
// lies beside it, it was made for another C library than the system's, and the
// program is to be started by that one.
func link(prefix string) (engine.Library, error) {
	var libs []string
	for _, dir := range []string{"lib", "lib64", "lib/*"} {
		match, err := filepath.Glob(filepath.Join(prefix, dir, "libwasmedge.so"))
		if err != nil {
			return engine.Library{}, err
		}
		libs = append(libs, match...)
	}
	if len(libs) == 0 {
		return engine.Library{}, unavailable("libwasmedge", "there are its headers in "+prefix+" but no libwasmedge.so", nil)
	}
	// The headers' content is part of the key and, by way of a macro that
	// nothing reads, of what the Go toolchain knows the program by: it would
	// not notice that they have changed otherwise.
	headers, err := filepath.Glob(filepath.Join(prefix, "include/wasmedge/*"))
	if err != nil {
		return engine.Library{}, err
	}
	key, err := cache.FileKey(append(headers, libs[0])...)
	if err != nil {
		return engine.Library{}, unavailable("libwasmedge", "it cannot be read", err)
	}
	dir := filepath.Dir(libs[0])
	cflags := []string{"-O2", "-DWASMBENCH_LIBWASMEDGE_" + key}
	ldflags := []string{"-L" + dir, "-Wl,-rpath," + dir}
	if prefix != "/usr" { // whose headers are found anyway, and come after those of the C compiler
		cflags = append(cflags, "-I"+filepath.Join(prefix, "include"))
		linkers, err := filepath.Glob(filepath.Join(dir, "ld-linux*.so.*"))
		if err != nil {
			return engine.Library{}, err
		}
		if len(linkers) > 0 {
			ldflags = append(ldflags, "-Wl,--dynamic-linker="+linkers[0], "-Wl,--allow-shlib-undefined")
		}
	}
	return engine.Library{
		Env: []string{"CGO_CFLAGS=" + quoted(cflags), "CGO_LDFLAGS=" + quoted(ldflags)},
		Tag: "wasmedge",
		Key: key,
	}, nil
}

// quoted joins flags as the go command takes them apart again.
func quoted(flags []string) string {
	q := make([]string, len(flags))
	for i, f := range flags {
		q[i] = "'" + f + "'"
	}
	return strings.Join(q, " ")
}
