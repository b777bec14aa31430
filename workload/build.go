package workload

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
	"github.com/seed-0132abb7/wasmbench/internal/gobuild"
	"github.com/seed-0132abb7/wasmbench/internal/sources"
)

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
	path, about, err := toolchainGo(ctx, nil)
	version, _, _ = strings.Cut(about, "\n")
	return path, version, err
}

// toolchainGo returns the path of the Go toolchain, and lines that tell its version
// first and then what it compiles for with env added to its environment, beside an
// operating system and an architecture.
func toolchainGo(ctx context.Context, env []string) (path, about string, err error) {
	if path, err = exec.LookPath("go"); err != nil {
		return "", "", &Unavailable{What: "Go toolchain", Why: "go is not on PATH", Fix: "install Go and put it on PATH", Err: err}
	}
	cmd := exec.CommandContext(ctx, path, "env", "GOVERSION", "GOAMD64", "GOARM64", "GOWASM", "GOEXPERIMENT", "GOFIPS140")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("running %s env: %w", path, err)
	}
	return path, string(out), nil
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

// scalarC keeps a C guest from the processor's vectors, as modules are without SIMD.
// Both clang and gcc have these names of the flags.
var scalarC = []string{"-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-DSTBI_NO_SIMD"}

// programC returns the source of a C guest's program, without ".c", and how it is
// compiled. What differs with SIMD is two programs of one source.
func programC(name string) (source string, flags []string) {
	switch name {
	case "image":
		return name, slices.Concat(flagsC, scalarC)
	case "image-simd":
		return "image", flagsC
	}
	return name, flagsC
}

func buildC(ctx context.Context, name string) (string, error) {
	cc, version, err := CompilerC(ctx)
	if err != nil {
		return "", err
	}
	source, flags := programC(name)
	files, err := sourcesC(source)
	if err != nil {
		return "", err
	}
	headers, err := headersC(ctx, cc, name, files["guests/c/"+source+".c"])
	if err != nil {
		return "", err
	}
	return build(ctx, name, version+strings.Join(flags, " ")+headers, files, func(src, out string) *exec.Cmd {
		args := slices.Concat(flags, []string{"-o", out, "worker.c", "buffer.c", source + ".c", "-lm"})
		cmd := exec.CommandContext(ctx, cc, args...)
		cmd.Dir = filepath.Join(src, "guests/c")
		return cmd
	})
}

// headersC identifies the headers that the source of a C guest includes and the
// embedded sources do not have, but for those of the system: those of stb.
func headersC(ctx context.Context, cc, name, source string) (string, error) {
	var included strings.Builder
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "#include <stb/") {
			included.WriteString(line)
		}
	}
	if included.Len() == 0 {
		return "", nil
	}
	cmd := exec.CommandContext(ctx, cc, "-M", "-x", "c", "-")
	cmd.Stdin = strings.NewReader(included.String())
	out, err := output(cmd)
	if err != nil {
		return "", unlessEnded(ctx, err, func(err error) error {
			return &Unavailable{What: "guest " + name, Why: "the headers of stb were not found", Fix: "install libstb-dev, or them where " + cc + " finds <stb/stb_image.h>", Err: err}
		})
	}
	var parts []string
	for _, file := range strings.Fields(string(out)) {
		if !strings.Contains(file, "/stb/") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("reading a header of guest %s: %w", name, err)
		}
		parts = append(parts, file, string(content))
	}
	return cache.Key(parts...), nil
}

// goBuild returns how the go command makes a guest in the form f: its flags, and what
// its environment has beside that of the harness.
func goBuild(f Form) (flags, env []string) {
	flags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	// Were GOFLAGS empty, that of go env -w would hold.
	env = []string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GO111MODULE=on"}
	host := []string{"GOOS=" + goruntime.GOOS, "GOARCH=" + goruntime.GOARCH}
	wasi := []string{"GOOS=wasip1", "GOARCH=wasm"}
	switch f {
	case Command:
		return flags, append(env, wasi...)
	case Reactor:
		return append(flags, "-buildmode=c-shared", "-tags=reactor"), append(env, wasi...)
	case CGI:
		return append(flags, "-tags=cgi"), append(env, wasi...)
	case Server:
		return append(flags, "-tags=server"), append(env, host...)
	}
	return flags, append(env, host...)
}

// packageGo is the package of a Go guest, relative to the directory of a module.
func packageGo(name string) string { return "./workload/guests/go/" + name }

// buildGo makes a guest of the embedded sources, which import nothing but each other
// and the standard library.
func buildGo(ctx context.Context, name string, f Form) (string, error) {
	flags, env := goBuild(f)
	return buildGoWith(ctx, name, flags, env)
}

// buildGoWith is buildGo with what goBuild returns, or other flags.
func buildGoWith(ctx context.Context, name string, flags, env []string) (string, error) {
	env = append(env, "GOPROXY=off")
	goTool, toolchain, err := toolchainGo(ctx, env)
	if err != nil {
		return "", err
	}
	files, err := sourcesGo(guests, name)
	if err != nil {
		return "", err
	}
	key := strings.Join(slices.Concat([]string{toolchain}, flags, env), " ")
	return build(ctx, name, key, scratchModule(files), func(src, out string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, goTool, slices.Concat([]string{"build"}, flags, []string{"-o", out, packageGo(name)})...)
		cmd.Env = append(os.Environ(), env...)
		cmd.Dir = src
		return cmd
	})
}

// buildGoModules makes a guest that imports modules, in this module's own directory:
// go.mod and go.sum there say which. The first build may have to download them.
func buildGoModules(ctx context.Context, name string, f Form) (string, error) {
	flags, env := goBuild(f)
	goTool, toolchain, err := toolchainGo(ctx, env)
	if err != nil {
		return "", err
	}
	absent := func(why, fix string) func(error) error {
		return func(err error) error {
			return &Unavailable{What: "guest " + name, Why: why, Fix: fix, Err: err}
		}
	}
	dir, err := sources.Dir(ctx, goTool)
	if err != nil {
		return "", unlessEnded(ctx, err, absent("its sources were not found", sources.Remedy))
	}
	if err := sameGo(dir, name); err != nil {
		return "", absent("its sources are of two versions", "build this program anew, and run it where go.mod requires the "+sources.Module+" that it was built with")(err)
	}
	path, err := gobuild.Program{Kind: "guest", Tool: goTool, Dir: dir, Package: packageGo(name), Flags: flags, Env: env, Made: []string{toolchain}}.Build(ctx)
	if failed := (*gobuild.Error)(nil); errors.As(err, &failed) {
		return "", absent("building it failed: "+failed.Said, "make this command succeed: "+failed.Command)(failed.Err)
	}
	return path, err
}

// build makes one file of the sources given, once for each toolchain. command is
// given a directory with them and the file to write.
func build(ctx context.Context, name, toolchain string, files sourceFiles, command func(src, out string) *exec.Cmd) (string, error) {
	entry, err := cache.Make(ctx, "guest", cache.Key(name, toolchain, files.key()), func(to string) error {
		src := filepath.Join(to, "src")
		defer os.RemoveAll(src)
		if err := files.unpack(src); err != nil {
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
