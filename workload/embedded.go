package workload

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/sources"
)

// The guests' sources, and the modules that guests/c/build.sh made of the C
// ones; and the packages beside them that Go guests import where they are processes,
// by which their version is told.
//
//go:embed guests/c guests/go guests/node guests/python shop store
var guests embed.FS

// sourceFiles are files by their paths, which are relative and have slashes.
type sourceFiles map[string]string

// key identifies the files.
func (s sourceFiles) key() string {
	var parts []string
	for _, file := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, file, s[file])
	}
	return cache.Key(parts...)
}

// unpack writes the files into a new directory.
func (s sourceFiles) unpack(dir string) error {
	for file, content := range s {
		to := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// add reads the files of fsys that match pattern, but for tests.
func (s sourceFiles) add(fsys fs.FS, pattern string) error {
	files, err := fs.Glob(fsys, pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		s[file] = string(b)
	}
	return nil
}

// sourcesC returns what a C guest is compiled of as a worker.
func sourcesC(name string) (sourceFiles, error) {
	files := sourceFiles{}
	for _, pattern := range []string{"*.h", "worker.c", "buffer.c", name + ".c"} {
		if err := files.add(guests, path.Join("guests/c", pattern)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// sourcesGo returns the package of a Go guest, and all those that it imports, for
// whatever target, of what lies below the directory of package workload.
func sourcesGo(workload fs.FS, name string) (sourceFiles, error) {
	files := sourceFiles{}
	for left, seen := []string{"guests/go/" + name}, map[string]bool{}; len(left) > 0; left = left[1:] {
		if seen[left[0]] {
			continue
		}
		seen[left[0]] = true
		imported := sourceFiles{}
		if err := imported.add(workload, left[0]+"/*.go"); err != nil {
			return nil, err
		}
		for file, content := range imported {
			files[file] = content
			// Every import is a quoted path. What is none has no files.
			for _, after := range strings.Split(content, `"`+sources.Module+"/workload/")[1:] {
				of, _, _ := strings.Cut(after, `"`)
				left = append(left, of)
			}
		}
	}
	return files, nil
}

// scratchModule returns the files that are a guest's own as a module, whose packages
// have the import paths that they have here.
func scratchModule(files sourceFiles) sourceFiles {
	module := sourceFiles{"go.mod": "module " + sources.Module + "\n\ngo 1.26\n"}
	for file, content := range files {
		if strings.HasPrefix(file, "guests/go/") {
			module["workload/"+file] = content
		}
	}
	return module
}

// sameGo returns an error where the sources of a Go guest in the module in dir are not
// those that are embedded.
func sameGo(dir, name string) error {
	embedded, err := sourcesGo(guests, name)
	if err != nil {
		return err
	}
	found, err := sourcesGo(os.DirFS(filepath.Join(dir, "workload")), name)
	if err != nil {
		return err
	}
	all := maps.Clone(embedded)
	maps.Copy(all, found)
	for _, file := range slices.Sorted(maps.Keys(all)) {
		if found[file] == embedded[file] {
			continue
		}
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return fmt.Errorf("workload/%s in %s is not the one in %s", file, dir, program)
	}
	return nil
}

// sourceKey identifies the content of the embedded sources below dir.
var sourceKey = func() func(string) (string, error) {
	var mu sync.Mutex
	known := map[string]string{}
	return func(dir string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if k, ok := known[dir]; ok {
			return k, nil
		}
		files := sourceFiles{}
		if err := files.add(guests, dir+"/*"); err != nil {
			return "", err
		}
		known[dir] = files.key()
		return known[dir], nil
	}
}()
