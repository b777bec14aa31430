package workload

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// module returns the step's reactor.
func (s *Shrunk) module(ctx context.Context) (string, error) {
	stripped := s.step == StepStrip || s.step == StepAOT
	switch {
	case stripped && s.guest.language == C:
		return compileModule(ctx, s.guest.source(), []string{"-O2"}, []string{stripAll})
	case stripped:
		return s.guest.Artifact(ctx, Reactor)
	case s.step == StepBase && s.guest.language == C:
		return compileModule(ctx, s.guest.source(), []string{"-O2", "-g"}, nil)
	case s.step == StepBase:
		return s.plainGo(ctx, Reactor)
	}
	module, err := s.small(ctx)
	if err != nil {
		return "", err
	}
	return optimise(ctx, module)
}

// small returns what a compiler makes that is asked for a small module. Go's cannot be
// asked.
func (s *Shrunk) small(ctx context.Context) (string, error) {
	if s.guest.language == C {
		return compileModule(ctx, s.guest.source(), []string{"-Oz"}, []string{stripAll})
	}
	return s.guest.Artifact(ctx, Reactor)
}

// plainGo makes what go build does unless it is told to leave something out.
func (s *Shrunk) plainGo(ctx context.Context, f Form) (string, error) {
	flags, env := goBuild(f)
	flags = slices.DeleteFunc(flags, func(flag string) bool { return strings.HasPrefix(flag, "-ldflags=") })
	return buildGoWith(ctx, s.guest.source(), flags, env)
}

// Flags of clang beside those that decide about the size, as in guests/c/build.sh: of
// both its commands, of that which compiles and of that which links. The former does not
// keep where it was run. The latter has no -O, for then clang would run wasm-opt, where
// it finds one.
var (
	targetFlags  = []string{"--target=wasm32-wasi", "--sysroot=/usr"}
	compileFlags = []string{"-c", "-fdebug-compilation-dir=."}
	linkFlags    = []string{"-mexec-model=reactor", "-Wl,--stack-first,-z,stack-size=32768"}
)

// stripAll has the linker leave out the names of functions and what a debugger needs.
const stripAll = "-Wl,--strip-all"

// compileModule makes a reactor of a C guest, compiled and linked with further flags.
func compileModule(ctx context.Context, name string, compile, link []string) (string, error) {
	absent := func(why, fix string, err error) error {
		return &Unavailable{What: "module of guest " + name, Why: why, Fix: fix, Err: err}
	}
	clang, err := exec.LookPath("clang")
	if err != nil {
		return "", absent("clang is not on PATH", moduleToolsFix, err)
	}
	tools, err := moduleTools(ctx, clang)
	if err != nil {
		return "", unlessEnded(ctx, err, func(err error) error {
			return absent("clang has no linker or no library for it", moduleToolsFix, err)
		})
	}
	files, err := sourcesC(name)
	if err == nil {
		err = files.add(guests, "guests/c/reactor.c")
	}
	if err != nil {
		return "", err
	}
	compile = slices.Concat(targetFlags, compileFlags, compile, []string{"reactor.c", "buffer.c", name + ".c"})
	link = slices.Concat(targetFlags, linkFlags, link, []string{"reactor.o", "buffer.o", name + ".o"})
	key := cache.Key(tools, strings.Join(compile, " "), strings.Join(link, " "), files.key())
	entry, err := cache.Make(ctx, "module", key, func(dir string) error {
		src := filepath.Join(dir, "src")
		defer os.RemoveAll(src)
		if err := files.unpack(src); err != nil {
			return err
		}
		for _, flags := range [][]string{compile, append(link, "-o", filepath.Join(dir, moduleFile))} {
			cmd := exec.CommandContext(ctx, clang, flags...)
			cmd.Dir = filepath.Join(src, "guests/c")
			if _, err := output(cmd); err != nil {
				return unlessEnded(ctx, err, func(err error) error {
					return absent("building it failed", "make this command succeed: "+strings.Join(cmd.Args, " "), err)
				})
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, moduleFile), nil
}

// moduleToolsFix brings what moduleTools looks for.
const moduleToolsFix = "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32"

// moduleTools identifies all that decides what a module is made to, beside its source:
// compiler, linker and the content of what is linked to every module.
func moduleTools(ctx context.Context, clang string) (string, error) {
	found := make([]string, len(linkedParts))
	for i, part := range linkedParts {
		path, err := firstLine(ctx, clang, append(slices.Clone(targetFlags), part)...)
		if err != nil {
			return "", err
		}
		found[i] = path
	}
	libraries, err := cache.FileKey(found...)
	if err != nil {
		return "", err
	}
	compiler, err := firstLine(ctx, clang, "--version")
	if err != nil {
		return "", err
	}
	linker, err := firstLine(ctx, clang, append(slices.Clone(targetFlags), "-print-prog-name=wasm-ld")...)
	if err == nil {
		linker, err = firstLine(ctx, linker, "--version")
	}
	return cache.Key(compiler, linker, libraries), err
}

// linkedParts ask clang where it has what is linked to every module.
var linkedParts = []string{"-print-file-name=libc.a", "-print-file-name=crt1-reactor.o", "-print-libgcc-file-name"}

// moduleFile is the name of a module in an entry of the cache.
const moduleFile = "module.wasm"

// optimiser are the flags of wasm-opt: for size, without what is not run, and with the
// features of WebAssembly that Go's compiler takes for granted, as every engine does.
var optimiser = []string{
	"-Oz", "--strip-debug", "--strip-producers",
	"--enable-mutable-globals", "--enable-sign-ext", "--enable-bulk-memory", "--enable-nontrapping-float-to-int",
}

// optimise returns what wasm-opt makes of a module.
func optimise(ctx context.Context, module string) (string, error) {
	absent := func(why, fix string, err error) error {
		return &Unavailable{What: "wasm-opt", Why: why, Fix: fix, Err: err}
	}
	tool, err := exec.LookPath("wasm-opt")
	if err != nil {
		return "", absent("it is not on PATH", "apt-get install binaryen", err)
	}
	version, err := firstLine(ctx, tool, "--version")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(module)
	if err != nil {
		return "", err
	}
	key := cache.Key("wasm-opt", version, strings.Join(optimiser, " "), string(b))
	entry, err := cache.Make(ctx, "module", key, func(dir string) error {
		cmd := exec.CommandContext(ctx, tool, slices.Concat(optimiser, []string{module, "-o", filepath.Join(dir, moduleFile)})...)
		_, err := output(cmd)
		return unlessEnded(ctx, err, func(err error) error {
			return absent("it refuses the module", "make this command succeed: "+strings.Join(cmd.Args, " "), err)
		})
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, moduleFile), nil
}
