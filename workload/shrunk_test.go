package workload_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// A step is what its documentation says or an *Unavailable that wraps ErrNoForm.
func TestShrinkForms(t *testing.T) {
	var made []string
	for _, l := range workload.Languages() {
		for _, s := range append(workload.Steps(), "other") {
			w := workload.Shrink(l, s)
			if w.Language() != l || w.Step() != s || w.Name() != "hello" || w.Check([]byte("Hello, World!")) != nil || w.Check(nil) == nil {
				t.Errorf("%s of %s is %+v", s, l, w)
			}
			for _, f := range []workload.Form{workload.Executable, workload.RootFS, workload.Command, workload.Reactor, workload.CGI, workload.Server, workload.ServerRootFS} {
				if !w.Made(f) {
					_, err := w.Artifact(t.Context(), f)
					if u := (*workload.Unavailable)(nil); !errors.As(err, &u) || !errors.Is(err, workload.ErrNoForm) || u.Fix == "" {
						t.Errorf("%s of %s as %s: error %v", s, l, f, err)
					}
					continue
				}
				made = append(made, fmt.Sprint(f, " ", l, " ", s))
			}
			if !w.Made(workload.ServerRootFS) {
				if dir, origin, err := w.Base(t.Context()); dir != "" || origin != "" || err != nil {
					t.Errorf("%s of %s has the base %q, %q, %v", s, l, dir, origin, err)
				}
			}
		}
	}
	var want []string
	for _, s := range []string{"base", "multistage", "distroless", "strip"} {
		want = append(want, "server-rootfs node "+s, "server-rootfs go "+s)
	}
	for _, s := range []string{"base", "size", "aot", "strip"} {
		want = append(want, "reactor c "+s, "reactor go "+s)
	}
	slices.Sort(made)
	slices.Sort(want)
	if !slices.Equal(made, want) {
		t.Errorf("made are %q, want %q", made, want)
	}
}

// Modules are the smaller the more is left out, and that of the last step is Hello's.
func TestShrunkModules(t *testing.T) {
	for _, l := range []workload.Language{workload.C, workload.Go} {
		t.Run(string(l), func(t *testing.T) {
			paths, sizes := map[workload.Step]string{}, map[workload.Step]int{}
			for _, s := range []workload.Step{workload.StepBase, workload.StepSize, workload.StepAOT, workload.StepStrip} {
				var err error
				paths[s], err = workload.Shrink(l, s).Artifact(t.Context(), workload.Reactor)
				skip(t, err)
				b, err := os.ReadFile(paths[s])
				if err != nil || !strings.HasPrefix(string(b), "\x00asm") {
					t.Fatalf("%s is %.8q, %v", paths[s], b, err)
				}
				sizes[s] = len(b)
				if sections := custom(b); slices.Contains(sections, "name") != (s == workload.StepBase) {
					t.Errorf("%s has the sections %q", s, sections)
				}
			}
			if paths[workload.StepStrip] != paths[workload.StepAOT] {
				t.Errorf("%s is to be precompiled, %s is not", paths[workload.StepAOT], paths[workload.StepStrip])
			}
			hello, err := workload.Hello(l).Artifact(t.Context(), workload.Reactor)
			if err != nil {
				t.Fatal(err)
			}
			if l == workload.C && !builtWithSameClang(t) {
				t.Log("the embedded module is another compiler's")
			} else if !bytes.Equal(bytesOf(t, paths[workload.StepStrip]), bytesOf(t, hello)) {
				t.Errorf("%s is not that of hello, %s", paths[workload.StepStrip], hello)
			}
			if sizes[workload.StepBase] <= sizes[workload.StepStrip] || sizes[workload.StepSize] >= sizes[workload.StepStrip] {
				t.Errorf("they have %v bytes", sizes)
			}
		})
	}
}

// builtWithSameClang tells whether clang here is that which made the embedded modules.
func builtWithSameClang(t *testing.T) bool {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "clang", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	built, _, _ := strings.Cut(string(bytesOf(t, "guests/c/BUILT_WITH")), "\n")
	return strings.Contains(string(version), built+"\n")
}

func bytesOf(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is linked to every module decides about it as the compiler does: it is made anew
// when that is another.
func TestShrunkModulesAreOfTheirTools(t *testing.T) {
	module, err := workload.Shrink(workload.C, workload.StepStrip).Artifact(t.Context(), workload.Reactor)
	skip(t, err)
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Fatal(err)
	}
	linker, err := exec.CommandContext(t.Context(), clang, "--target=wasm32-wasi", "-print-prog-name=wasm-ld").Output()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	library, other := filepath.Join(bin, "libc.a"), filepath.Join(bin, "wasm-ld")
	err = errors.Join(
		os.WriteFile(library, []byte("another"), 0o644),
		os.WriteFile(other, []byte("#!/bin/sh\n[ \"$1\" = --version ] && exec echo another\nexec "+strings.TrimSpace(string(linker))+" \"$@\"\n"), 0o755),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for question, answer := range map[string]string{"-print-file-name=libc.a": library, "-print-prog-name=wasm-ld": other} {
		script := "#!/bin/sh\ncase \"$*\" in *" + question + ") exec echo " + answer + ";; esac\nexec " + clang + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, "clang"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		again, err := workload.Shrink(workload.C, workload.StepStrip).Artifact(t.Context(), workload.Reactor)
		if err != nil || again == module {
			t.Errorf("%s: it is %s, %v, as before", question, again, err)
		}
	}
}

// custom returns the names of a module's custom sections.
func custom(module []byte) (names []string) {
	varint := func(b []byte) (uint64, []byte) {
		v, n := binary.Uvarint(b)
		return v, b[max(n, 0):]
	}
	for rest := module[8:]; len(rest) > 0; {
		kind := rest[0]
		size, content := varint(rest[1:])
		if size > uint64(len(content)) {
			return append(names, "cut short")
		}
		content, rest = content[:size], content[size:]
		if kind == 0 {
			length, name := varint(content)
			names = append(names, string(name[:length]))
		}
	}
	return names
}

// What is missing is named with what brings it, and is not ErrNoForm.
func TestShrinkWithoutTools(t *testing.T) {
	for _, tt := range []struct {
		tool string // the only ones that are there, in a line
		l    workload.Language
		s    workload.Step
		f    workload.Form
		fix  string
	}{
		{"", workload.C, workload.StepBase, workload.Reactor, "clang"},
		{"", workload.Go, workload.StepBase, workload.Reactor, "install Go"},
		{"clang ld.lld wasm-ld", workload.C, workload.StepSize, workload.Reactor, "binaryen"},
		{"", workload.Go, workload.StepBase, workload.ServerRootFS, "install Go"},
	} {
		t.Run(string(tt.l)+"/"+string(tt.s), func(t *testing.T) {
			bin := t.TempDir()
			for _, name := range strings.Fields(tt.tool) {
				path, err := exec.LookPath(name)
				if err != nil {
					continue
				}
				// By its own path, for it looks for its libraries there.
				script := "#!/bin/sh\nexec " + path + " \"$@\"\n"
				if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			t.Setenv("PATH", bin)
			_, err := workload.Shrink(tt.l, tt.s).Artifact(t.Context(), tt.f)
			if u := (*workload.Unavailable)(nil); !errors.As(err, &u) || errors.Is(err, workload.ErrNoForm) || !strings.Contains(u.Fix, tt.fix) {
				t.Errorf("error %v, want an *Unavailable whose remedy has %q", err, tt.fix)
			}
		})
	}
}

// A distribution's tool that is missing is named too.
func TestShrinkWithoutMmdebstrap(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	for _, l := range []workload.Language{workload.Node, workload.Go} {
		for _, s := range []workload.Step{workload.StepBase, workload.StepMultistage} {
			_, _, err := workload.Shrink(l, s).Base(t.Context())
			if !errors.As(err, new(*workload.Unavailable)) || os.Geteuid() == 0 && !strings.Contains(err.Error(), "apt-get install mmdebstrap") {
				t.Errorf("%s of %s: error %v is no *Unavailable that names the remedy", s, l, err)
			}
		}
	}
}

// Without strip there is what comes before it.
func TestShrinkWithoutStrip(t *testing.T) {
	base, _, err := workload.Hello(workload.Node).Base(t.Context())
	skip(t, err)
	cached := t.TempDir()
	kind := filepath.Join(cached, "wasmbench", "base")
	entry := filepath.Dir(base)
	if err := errors.Join(os.MkdirAll(kind, 0o755), os.Symlink(entry, filepath.Join(kind, filepath.Base(entry)))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", cached)
	t.Setenv("PATH", t.TempDir())
	if dir, _, err := workload.Shrink(workload.Node, workload.StepDistroless).Base(t.Context()); dir == "" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	_, _, err = workload.Shrink(workload.Node, workload.StepStrip).Base(t.Context())
	if u := (*workload.Unavailable)(nil); !errors.As(err, &u) || !strings.Contains(u.Fix, "binutils") {
		t.Errorf("error %v is no *Unavailable that names the remedy", err)
	}
}

// Programs lose their symbols, and nothing else changes: neither other files nor what the
// tree was made of.
func TestStrip(t *testing.T) {
	cc, _, err := workload.CompilerC(t.Context())
	skip(t, err)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	program, source := filepath.Join(dir, "program"), filepath.Join(t.TempDir(), "p.c")
	err = errors.Join(
		os.WriteFile(source, []byte("int main(void) { return 7; }\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "text"), []byte("\x7fEL"), 0o644),
		os.Symlink("program", filepath.Join(dir, "link")),
	)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-g", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	symbols := func(dir string) bool {
		t.Helper()
		f, err := elf.Open(filepath.Join(dir, "program"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return f.Section(".symtab") != nil
	}
	stripped, origin, err := workload.Strip(t.Context(), dir, "a tree, 12 MB")
	skip(t, err)
	if !symbols(dir) || symbols(stripped) {
		t.Errorf("there are symbols: %v, and once stripped %v", symbols(dir), symbols(stripped))
	}
	if !strings.HasPrefix(origin, "a tree, stripped, ") {
		t.Errorf("it is called %q", origin)
	}
	if b, err := os.ReadFile(filepath.Join(stripped, "text")); string(b) != "\x7fEL" {
		t.Errorf("a file that is no program is %q, %v", b, err)
	}
	if to, err := os.Readlink(filepath.Join(stripped, "link")); to != "program" {
		t.Errorf("a link leads to %q, %v", to, err)
	}
	var exit *exec.ExitError
	if err := exec.CommandContext(t.Context(), filepath.Join(stripped, "program")).Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("the program ends with %v, want 7", err)
	}
}

// A tree that was made again in the same place is another.
func TestStripOfAnotherTree(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "tree")
	for _, text := range []string{"one", "two"} {
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "text"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		stripped, _, err := workload.Strip(t.Context(), dir, "a tree, 0 MB")
		skip(t, err)
		if got := bytesOf(t, filepath.Join(stripped, "text")); string(got) != text {
			t.Errorf("it has %q, want %q", got, text)
		}
	}
}

const umaskEnv = "WASMBENCH_TEST_UMASK"

// Trees have the same modes under any umask, which is the process's: it is set in
// another one.
func TestModes(t *testing.T) {
	if os.Getenv(umaskEnv) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestModes$", "-test.v")
		cmd.Env = append(os.Environ(), umaskEnv+"=1", "XDG_CACHE_HOME="+t.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	from, carried := t.TempDir(), t.TempDir()
	for file, mode := range map[string]os.FileMode{"open/file": 0o644, "open/program": 0o755, "closed/file": 0o640, "closed/program": 0o710} {
		if err := errors.Join(os.MkdirAll(filepath.Join(from, filepath.Dir(file)), 0o755), os.WriteFile(filepath.Join(from, file), nil, mode), os.Chmod(filepath.Join(from, file), mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(from, "closed"), 0o750); err != nil {
		t.Fatal(err)
	}
	syscall.Umask(0o077)
	for _, file := range []string{"open/file", "open/program", "closed/file", "closed/program"} {
		if err := workload.Carry(from, carried, "/"+file); err != nil {
			t.Fatal(err)
		}
	}
	accounts, err := workload.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root, err := workload.ExecutableFS(t.Context(), filepath.Join(from, "open/program"))
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]string{
		carried:  " closed:750 closed/file:640 closed/program:710 open:755 open/file:644 open/program:755",
		accounts: " .:755 etc:755 etc/group:644 etc/passwd:644",
		root:     " .:755 dev:755 guest:755 proc:755 sys:755 tmp:755",
	}
	if stripped, _, err := workload.Strip(t.Context(), from, "a tree, 0 MB"); !errors.As(err, new(*workload.Unavailable)) {
		if err != nil {
			t.Fatal(err)
		}
		trees[stripped] = " .:755" + trees[carried]
	}
	for dir, want := range trees {
		var got strings.Builder
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || path == carried {
				return err
			}
			info, err := e.Info()
			name, _ := filepath.Rel(dir, path)
			fmt.Fprintf(&got, " %s:%o", name, info.Mode().Perm())
			return err
		})
		if err != nil || got.String() != want {
			t.Errorf("modes are%s, %v; want%s", &got, err, want)
		}
	}
}

// Files are taken over with the links that lead to them, which never lead out of the
// root.
func TestCarry(t *testing.T) {
	for _, tt := range []struct {
		name  string
		links map[string]string
		take  string
		want  []string // what is there then
		fails bool
	}{
		{name: "a file", take: "/usr/lib/libx.so.1.2", want: []string{"usr", "usr/lib", "usr/lib/libx.so.1.2"}},
		{name: "a relative link", links: map[string]string{"usr/lib/libx.so": "libx.so.1.2"}, take: "/usr/lib/libx.so",
			want: []string{"usr", "usr/lib", "usr/lib/libx.so", "usr/lib/libx.so.1.2"}},
		{name: "a directory that is a link", links: map[string]string{"lib": "usr/lib"}, take: "/lib/libx.so.1.2",
			want: []string{"lib", "usr", "usr/lib", "usr/lib/libx.so.1.2"}},
		{name: "an absolute link", links: map[string]string{"lib64": "/usr/lib"}, take: "/lib64/libx.so.1.2",
			want: []string{"lib64", "usr", "usr/lib", "usr/lib/libx.so.1.2"}},
		{name: "a link up", links: map[string]string{"usr/bin": "../../../usr/lib"}, take: "/usr/bin/libx.so.1.2",
			want: []string{"usr", "usr/bin", "usr/lib", "usr/lib/libx.so.1.2"}},
		{name: "none", take: "/usr/lib/liby.so", fails: true},
		{name: "a link out", links: map[string]string{"usr/lib/passwd": "../../../../../../../etc/passwd"}, take: "/usr/lib/passwd", fails: true},
		{name: "a loop", links: map[string]string{"a": "b", "b": "a"}, take: "/a", fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			err := errors.Join(os.MkdirAll(filepath.Join(from, "usr/lib"), 0o755), os.WriteFile(filepath.Join(from, "usr/lib/libx.so.1.2"), []byte("x"), 0o755))
			for link, target := range tt.links {
				err = errors.Join(err, os.Symlink(target, filepath.Join(from, link)))
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // what is there already stays
				if err := workload.Carry(from, to, tt.take); (err != nil) != tt.fails {
					t.Fatalf("error %v", err)
				}
			}
			if tt.fails {
				return
			}
			var got []string
			err = filepath.WalkDir(to, func(path string, _ os.DirEntry, err error) error {
				if path != to {
					got = append(got, strings.TrimPrefix(path, to+"/"))
				}
				return err
			})
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
