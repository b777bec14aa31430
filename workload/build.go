package workload

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// The guests' sources, and the modules that guests/c/build.sh made of the C
// ones.
//
//go:embed guests/c guests/go guests/node guests/python
var guests embed.FS

// modulePath is what the Go guests' import paths begin with.
const modulePath = "github.com/seed-0132abb7/wasmbench"

// CompilerC returns the path and the version line of the compiler of native C
// guests: $CC, or clang, which also built their modules, or gcc, or cc.
func CompilerC(ctx context.Context) (path, version string, err error) {
	candidates := []string{"clang", "gcc", "cc"}
	if cc := os.Getenv("CC"); cc != "" {
		candidates = []string{cc}
	}
	for _, name := range candidates {
		path, err = exec.LookPath(name)
		if err == nil {
			break
		}
	}
	if err != nil {
		return "", "", &Unavailable{What: "C compiler", Why: "none of " + strings.Join(candidates, ", ") + " was found", Fix: "install clang or gcc, or set CC", Err: err}
	}
	version, err = firstLine(ctx, path, "--version")
	return path, version, err
}

// CompilerGo returns the path and the version of the Go toolchain.
func CompilerGo(ctx context.Context) (path, version string, err error) {
	if path, err = exec.LookPath("go"); err != nil {
		return "", "", &Unavailable{What: "Go toolchain", Why: "go is not on PATH", Fix: "install Go and put it on PATH", Err: err}
	}
	version, err = firstLine(ctx, path, "env", "GOVERSION")
	return path, version, err
}

func firstLine(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w", name, strings.Join(args, " "), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line, nil
}

// flagsC keeps native guests as the modules are compiled. Static, so that the
// same file is the whole of a container; with threads, which a module lacks.
var flagsC = []string{"-O2", "-static", "-pthread"}

func buildC(ctx context.Context, name string) (string, error) {
	cc, version, err := CompilerC(ctx)
	if err != nil {
		return "", err
	}
	return build(ctx, name, version+strings.Join(flagsC, " "), "guests/c", func(src, out string) *exec.Cmd {
		args := append(flagsC[:len(flagsC):len(flagsC)], "-o", out, "worker.c", "buffer.c", name+".c")
		cmd := exec.CommandContext(ctx, cc, args...)
		cmd.Dir = filepath.Join(src, "guests/c")
		return cmd
	})
}

func buildGo(ctx context.Context, name string, f Form) (string, error) {
	goTool, version, err := CompilerGo(ctx)
	if err != nil {
		return "", err
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	env := []string{"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOPROXY=off"}
	switch f {
	case Command:
		env = append(env, "GOOS=wasip1", "GOARCH=wasm")
	case Reactor:
		env = append(env, "GOOS=wasip1", "GOARCH=wasm")
		args = append(args, "-buildmode=c-shared", "-tags=reactor")
	case CGI:
		env = append(env, "GOOS=wasip1", "GOARCH=wasm")
		args = append(args, "-tags=cgi")
	case Server:
		args = append(args, "-tags=server")
	}
	key := strings.Join(append(append([]string{version}, args...), env...), " ")
	return build(ctx, name, key, "guests/go", func(src, out string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, goTool, append(args, "-o", out, "./workload/guests/go/"+name)...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Dir = src
		return cmd
	})
}

// build makes one file of the sources below dir, once for each toolchain.
// command is given a directory with the sources and the file to write.
func build(ctx context.Context, name, toolchain, dir string, command func(src, out string) *exec.Cmd) (string, error) {
	sources, err := sourceKey(dir)
	if err != nil {
		return "", err
	}
	entry, err := cache.Make(ctx, "guest", cache.Key(name, toolchain, sources), func(to string) error {
		src := filepath.Join(to, "src")
		defer os.RemoveAll(src)
		if err := unpackSources(src, dir); err != nil {
			return err
		}
		cmd := command(src, filepath.Join(to, name))
		if out, err := cmd.CombinedOutput(); err != nil {
			return &Unavailable{
				What: "guest " + name,
				Why:  "building it failed: " + strings.TrimSpace(string(out)),
				Fix:  "make this command succeed: " + strings.Join(cmd.Args, " "),
				Err:  errors.Join(err, ctx.Err()),
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, name), nil
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
		var parts []string
		err := fs.WalkDir(guests, dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := guests.ReadFile(p)
			parts = append(parts, p, string(b))
			return err
		})
		if err != nil {
			return "", err
		}
		known[dir] = cache.Key(parts...)
		return known[dir], nil
	}
}()

// unpackSources writes the sources below dir into to: C sources below
// guests/c, Go sources as a module whose packages have the import paths that
// they have here.
func unpackSources(to, dir string) error {
	if dir == "guests/go" {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "go.mod"), []byte("module "+modulePath+"\n\ngo 1.26\n"), 0o644); err != nil {
			return err
		}
		to = filepath.Join(to, "workload")
	}
	sub, err := fs.Sub(guests, dir)
	if err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(to, filepath.FromSlash(dir)), sub)
}

// unpackModule writes an embedded module of a C guest into the cache.
func unpackModule(ctx context.Context, name string, f Form) (string, error) {
	file := fmt.Sprintf("%s.%s.wasm", name, f)
	module, err := guests.ReadFile(path.Join("guests/c", file))
	if err != nil {
		return "", &Unavailable{What: "module " + file, Why: "it is not embedded", Fix: "run guests/c/build.sh", Err: err}
	}
	entry, err := cache.Make(ctx, "module", cache.Key(file, string(module)), func(dir string) error {
		return os.WriteFile(filepath.Join(dir, file), module, 0o644)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, file), nil
}
