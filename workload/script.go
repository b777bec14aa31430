package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/seed-0132abb7/wasmbench/internal/cache"
)

// An interpreter is what runs the guests of a language, on the host or from a
// base.
type interpreter struct {
	program string   // its name on PATH
	ask     []string // arguments with which it prints its path and its version
	flag    string   // what it is given beside the script
	pkg     string   // the Debian package that brings it
	base    []string // the packages of a base
	sources string   // where the guests and drivers lie
}

var interpreters = func() map[Language]interpreter {
	node := interpreter{
		program: "node",
		ask:     []string{"-p", `process.execPath + "\n" + process.versions.node`},
		pkg:     "nodejs",
		base:    []string{"nodejs"},
		sources: "guests/node",
	}
	jitless := node
	jitless.flag = "--jitless"
	return map[Language]interpreter{Node: node, NodeJitless: jitless, Python: {
		program: "python3",
		ask:     []string{"-c", "import sys; print(sys.executable); print(sys.version.split()[0])"},
		pkg:     "python3",
		base:    []string{"python3-minimal", "libpython3-stdlib"},
		sources: "guests/python",
	}}
}()

// Interpreter returns the path and the version of the interpreter of l on the
// host. Where the one on PATH is a front that chooses another, it returns the
// other, so that no start pays for the choice. The error is an *Unavailable
// where there is none or l has none.
func Interpreter(ctx context.Context, l Language) (path, version string, err error) {
	i, ok := interpreters[l]
	if !ok {
		return "", "", &Unavailable{What: "interpreter of " + string(l), Why: "guests of that language are compiled", Fix: "ask for its compiler"}
	}
	absent := func(why string, err error) error {
		return &Unavailable{What: i.program, Why: why, Fix: "install " + i.program + " (Debian: " + i.pkg + ") and put it on PATH", Err: err}
	}
	front, err := exec.LookPath(i.program)
	if err != nil {
		return "", "", absent(i.program+" is not on PATH", err)
	}
	if err := context.Cause(ctx); err != nil {
		return "", "", err
	}
	if a, ok := answered.Load(front); ok {
		return a.([2]string)[0], a.([2]string)[1], nil
	}
	out, err := output(exec.CommandContext(ctx, front, i.ask...))
	if err != nil {
		return "", "", unlessEnded(ctx, err, func(err error) error { return absent("it does not run", err) })
	}
	path, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", "", absent(front+" does not tell where it is", err)
	}
	answered.Store(front, [2]string{path, version})
	return path, version, nil
}

// answered has, for the path of an interpreter or its front, what it said of
// itself, for some take a tenth of a second to say it.
var answered sync.Map

// shebang returns the first line of a script for the interpreter at path.
func (i interpreter) shebang(path string) (string, error) {
	line := "#!" + path
	if i.flag != "" {
		line += " " + i.flag
	}
	// The kernel splits at the first space and reads 256 bytes.
	if strings.ContainsAny(path, " \t\n") || len(line) > 255 {
		return "", &Unavailable{What: "a script for " + path, Why: "the first line of a script cannot name such a path", Fix: "install " + i.program + " at a shorter path without spaces"}
	}
	return line + "\n", nil
}

// driver is the name of what connects a guest in the form f to the harness.
func driver(f Form) string {
	if f == Server {
		return "server"
	}
	return "worker"
}

// buildScript makes a guest for the host's interpreter.
func buildScript(ctx context.Context, name string, l Language, f Form) (string, error) {
	path, version, err := Interpreter(ctx, l)
	if err != nil {
		return "", err
	}
	i := interpreters[l]
	line, err := i.shebang(path)
	if err != nil {
		return "", err
	}
	sources, err := sourceKey(i.sources)
	if err != nil {
		return "", err
	}
	file := name
	if l != Python {
		file += ".cjs" // whatever package.json lies in a directory above
	}
	entry, err := cache.Make(ctx, "guest", cache.Key(name, string(f), line, version, sources), func(dir string) error {
		script := filepath.Join(dir, file)
		if l == Python {
			return i.writePython(script, line, name, f, exec.CommandContext(ctx, path))
		}
		return i.writeNode(script, line, name, f)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(entry, file), nil
}

// writeNode makes a script of the guest and its driver.
func (i interpreter) writeNode(file, shebang, name string, f Form) error {
	script := []byte(shebang + "'use strict';\n")
	for _, source := range []string{name, driver(f)} {
		b, err := guests.ReadFile(path.Join(i.sources, source+".js"))
		if err != nil {
			return err
		}
		script = append(append(script, '\n'), b...)
	}
	return os.WriteFile(file, script, 0o755)
}

// writePython makes a script that only loads the guest and its driver, since a
// script itself is compiled at each start, and the modules beside it. Where
// python is nil they are not compiled ahead.
func (i interpreter) writePython(file, shebang, name string, f Form, python *exec.Cmd) error {
	script := fmt.Sprintf("import sys\n\nsys.path.insert(0, __file__ + \".d\")\n\nimport %[1]s\nimport %[2]s\n\n%[2]s.main(%[1]s.answer)\n", name, driver(f))
	if err := os.WriteFile(file, []byte(shebang+script), 0o755); err != nil {
		return err
	}
	dir := file + ".d"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	sources := map[string]string{}
	for _, module := range []string{name, driver(f)} {
		b, err := guests.ReadFile(path.Join(i.sources, module+".py"))
		if err != nil {
			return err
		}
		sources[module] = string(b)
		if err := os.WriteFile(filepath.Join(dir, module+".py"), b, 0o644); err != nil {
			return err
		}
	}
	if python == nil {
		return nil
	}
	if err := i.compile(filepath.Join(dir, "__pycache__"), sources, python); err != nil {
		return fmt.Errorf("compiling the modules of guest %s: %w", name, err)
	}
	return nil
}

// compile makes a directory of what python compiles the modules to.
func (i interpreter) compile(dir string, sources map[string]string, python *exec.Cmd) error {
	compiler, err := guests.ReadFile(path.Join(i.sources, "compile.py"))
	if err != nil {
		return err
	}
	in, err := json.Marshal(sources)
	if err != nil {
		return err
	}
	python.Args = append(python.Args, "-I", "-c", string(compiler))
	python.Stdin = bytes.NewReader(in)
	out, err := output(python)
	if err != nil {
		return err
	}
	var compiled map[string][]byte
	if err := json.Unmarshal(out, &compiled); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for file, b := range compiled {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
