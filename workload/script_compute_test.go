package workload_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/workload"
)

// scripts are the languages whose guests compute on an interpreter.
var scripts = []workload.Language{workload.Node, workload.NodeJitless, workload.Python}

// converseBy is converse with the program given, to which the script's path is the
// last argument.
func converseBy(t *testing.T, w workload.Workload, program ...string) *conversation {
	t.Helper()
	path, err := w.Artifact(t.Context(), workload.Executable)
	skip(t, err)
	program = append(program, path)
	c := &conversation{t: t, cmd: exec.CommandContext(t.Context(), program[0], program[1:]...)}
	c.cmd.Stderr = new(strings.Builder)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	magic := make([]byte, 4)
	if _, err := io.ReadFull(c.out, magic); err != nil || string(magic) != "wb1\n" {
		t.Fatalf("the worker says %q, %v; %s", magic, err, c.cmd.Stderr)
	}
	return c
}

// end closes the guest's input, with which it ends well, whatever threads it has.
func (c *conversation) end() {
	c.t.Helper()
	c.in.Close()
	if rest, err := io.ReadAll(c.out); len(rest) != 0 || err != nil {
		c.t.Errorf("after its input it writes %q, %v", rest, err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("it does not end well with its input: %v, %s", err, c.cmd.Stderr)
	}
}

// check asks for the answer of w, which must be right.
func (c *conversation) check(w workload.Workload) {
	c.t.Helper()
	if err := w.Check(c.ask(w.Request())); err != nil {
		c.t.Errorf("%s: %v", w.Request(), err)
	}
}

// fails asks w, which must be answered with an error in one line that has the text.
func (c *conversation) fails(w workload.Workload, text string) {
	c.t.Helper()
	err := w.Check(c.ask(w.Request()))
	var guest *workload.GuestError
	if !errors.As(err, &guest) || !strings.Contains(guest.Text, text) || strings.Contains(guest.Text, "\n") {
		c.t.Errorf("%s: %v, want a *GuestError of one line with %q", w.Request(), err, text)
	}
}

func TestScriptsInParallel(t *testing.T) {
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			first := must(workload.ParallelSum(l, workload.PartOptions{Elements: 1000}))(t)
			c := converseBy(t, first)
			c.check(first)
			for _, o := range []workload.PartOptions{
				{Elements: 1000, Workers: 4}, {Elements: 1000, Workers: 2}, {Elements: 1000, Workers: 7},
				{Elements: 1000, Workers: 4}, {Elements: 1001, Workers: 3}, {Elements: 1000, From: 1, Workers: 3, To: 1000},
				{Elements: 5, Workers: 5}, {Elements: workload.MaxElements, From: workload.MaxElements - 9, To: workload.MaxElements, Workers: 2},
				{Elements: 1 << 16, Workers: 1}, {Elements: 1 << 16, Workers: 12},
			} {
				c.check(must(workload.ParallelSum(l, o))(t))
				o.From = max(o.From, o.To-2000)
				c.check(must(workload.ParallelHash(l, o))(t))
			}
			if l == workload.Python { // to Node.js so many are a minute's work
				c.check(must(workload.ParallelSum(l, workload.PartOptions{Elements: 10_000, Workers: workload.MaxWorkers}))(t))
			}
			c.end()
		})
	}
}

// A thread that does not start is an error, and the next request has what it takes
// again.
func TestPythonWithoutRoomForThreads(t *testing.T) {
	one := must(workload.ParallelSum(workload.Python, workload.PartOptions{Elements: 1000}))(t)
	three := must(workload.ParallelSum(workload.Python, workload.PartOptions{Elements: 1000, Workers: 3}))(t)
	c := converseBy(t, one)
	c.check(one)
	var before unix.Rlimit
	var pages uint64
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_AS, nil, &before); err != nil {
		t.Fatal(err)
	}
	little := unix.Rlimit{Cur: pages*uint64(os.Getpagesize()) + 1<<20, Max: before.Max}
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_AS, &little, nil); err != nil {
		t.Fatal(err)
	}
	c.fails(three, "3 workers: starting that with number 1: ")
	c.check(one)
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_AS, &before, nil); err != nil {
		t.Fatal(err)
	}
	c.check(three)
	c.end()
}

// A worker of Node.js needs descriptors of its own, and where there are none it ends
// unheard.
func TestNodeWithoutRoomForThreads(t *testing.T) {
	for _, l := range []workload.Language{workload.Node, workload.NodeJitless} {
		t.Run(string(l), func(t *testing.T) {
			workers := func(n int) workload.Workload {
				return must(workload.ParallelSum(l, workload.PartOptions{Elements: 1000, Workers: n}))(t)
			}
			path, err := workers(1).Artifact(t.Context(), workload.Executable)
			skip(t, err)
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			const patience = "const patience = 60_000;"
			if strings.Count(string(script), patience) != 1 {
				t.Fatalf("the guest has no line %q", patience)
			}
			hasty := filepath.Join(t.TempDir(), "parallel.cjs")
			if err := os.WriteFile(hasty, []byte(strings.Replace(string(script), patience, "const patience = 2_000;", 1)), 0o755); err != nil {
				t.Fatal(err)
			}
			w := workload.Prebuilt{Label: "sum", Files: map[workload.Form]string{workload.Executable: hasty}}
			c := converseBy(t, w)
			c.check(workers(2))
			limit := func(descriptors uint64) {
				t.Helper()
				var l unix.Rlimit
				err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &l)
				if err == nil {
					l.Cur = min(descriptors, l.Max)
					err = unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_NOFILE, &l, nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			limit(64) // not before, for Node.js starts by raising it
			for range 2 {
				err := workers(48).Check(c.ask(workers(48).Request()))
				var g *workload.GuestError
				if !errors.As(err, &g) || !regexp.MustCompile(`^48 workers: [1-9][0-9]? of the 47 threads beside the first have started, and none in 2 s`).MatchString(g.Text) {
					t.Errorf("48 workers with 64 descriptors: %v", err)
				}
			}
			c.check(workers(2))
			limit(1024)
			c.check(workers(48))
			c.end()
		})
	}
}

func TestScriptsAtBoundaries(t *testing.T) {
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			echo := must(workload.Boundary(l, workload.Echo, 0))(t)
			c := converseBy(t, echo)
			c.check(echo)
			for _, op := range []workload.BoundaryOp{workload.Syscall, workload.Loop} {
				for _, n := range []int{1, 2, 100003} {
					c.check(must(workload.Boundary(l, op, n))(t))
				}
			}
			c.end()
		})
	}
}

func TestScriptsUnderLoad(t *testing.T) {
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			file := filepath.Join(dir, "load.dat")
			if err := os.WriteFile(file, make([]byte, 2<<20), 0o644); err != nil {
				t.Fatal(err)
			}
			only := must(workload.Load(l, workload.LoadOptions{Steps: 3, Rounds: 1000}))(t)
			c := converseBy(t, only)
			c.check(only)
			if _, err := os.Stat(file); err != nil {
				t.Errorf("without blocks it touched the file: %v", err)
			}
			for _, o := range []workload.LoadOptions{{Steps: 1, Rounds: 1, Blocks: 1}, {Steps: 3, Rounds: 0, Blocks: 100}, {Steps: 2, Rounds: 7, Blocks: 3}} {
				c.check(must(workload.Load(l, o))(t))
				if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the file is left: %v", err)
				}
			}
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
			c.fails(must(workload.Load(l, workload.LoadOptions{Steps: 1, Blocks: 1}))(t), "creating load.dat: ")
			c.check(only)
			c.end()
		})
	}
}

func TestScriptsOnFiles(t *testing.T) {
	const size, block = 1 << 20, 1 << 16
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			f := must(workload.NewFile(l, "data", size, block))(t)
			c := converseBy(t, must(f.Clock(1))(t))
			c.check(must(f.Clock(1000))(t))
			// One after the other: pages of many generations, blocks of other sizes.
			for _, op := range []*workload.FileOp{
				must(f.Write(7))(t), must(f.Read())(t), must(f.RandomRead(1, 100, 4096))(t),
				must(f.RandomWrite(1<<32-1, 50, 4096))(t), must(f.RandomRead(2, 50, 1<<18))(t), must(f.RandomWrite(3, 2, size))(t), must(f.RandomWrite(4, 3, 1<<15))(t),
				must(f.Read())(t), must(f.Write(1<<31 + 5))(t), must(f.RandomWrite(9, 9, block))(t), must(f.Read())(t),
			} {
				answer := c.ask(op.Request())
				if err := op.Check(answer); err != nil {
					t.Fatalf("%s: %v", op.Request(), err)
				}
				took, err := op.Latencies(answer)
				if err != nil || len(took) != op.Count() {
					t.Errorf("%s: %d times, %v; want %d", op.Request(), len(took), err, op.Count())
				}
				for _, d := range took {
					if d <= 0 {
						t.Fatalf("%s: an access took %v", op.Request(), d)
					}
				}
			}
			data, err := os.Open(filepath.Join(dir, "data"))
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			if err := f.Verify(data); err != nil {
				t.Error(err)
			}
			c.check(must(f.Remove())(t))
			if _, err := os.Stat("data"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is left: %v", err)
			}
			c.end()
		})
	}
}

func TestScriptsOnDamagedFiles(t *testing.T) {
	const size, block = 1 << 18, 1 << 14
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			t.Chdir(t.TempDir())
			f := must(workload.NewFile(l, "data", size, block))(t)
			read, random := must(f.Read())(t), must(f.RandomRead(1, 100, 4096))(t)
			c := converseBy(t, read)
			for _, op := range []*workload.FileOp{read, random, must(f.RandomWrite(1, 1, block))(t)} {
				c.fails(op, "opening data: No such file or directory")
			}
			c.check(must(f.Remove())(t))
			if _, err := os.Stat("data"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a file now: %v", err)
			}
			write := must(f.Write(5))(t)
			damage := func(do error) {
				t.Helper()
				if do != nil {
					t.Fatal(do)
				}
			}
			c.check(write)
			damage(os.Truncate("data", block+100))
			c.fails(read, fmt.Sprintf("reading data: short: 100 of %d bytes at %d", block, block))
			damage(os.Truncate("data", 0))
			c.fails(random, "reading data: short: 0 of 4096 bytes at ")
			c.check(write)
			damage(os.Truncate("data", size+1))
			c.fails(read, fmt.Sprintf("reading data: long: more than %d bytes", size))
			c.check(random)
			c.check(write)
			b, err := os.ReadFile("data")
			damage(err)
			b[3*4096] = 77
			damage(os.WriteFile("data", b, 0o644))
			c.fails(read, "reading data: page 77 at 12288")
			damage(os.Remove("data"))
			damage(os.Mkdir("data", 0o755))
			c.fails(write, "creating data: ")
			c.fails(must(f.Remove())(t), "removing data: ")
			c.fails(must(must(workload.NewFile(l, "no/data", size, block))(t).Write(1))(t), "creating no/data: No such file or directory")
			damage(os.Remove("data"))
			c.check(write)
			c.check(read)
			c.end()
		})
	}
}

// The disk is a small tmpfs in a mount namespace of the guest's, which ends with
// it.
func TestScriptsOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, &workload.Unavailable{What: "a full disk", Why: "mounting one takes root", Fix: "run the tests as root"})
	}
	const mounted = `mount -t tmpfs -o size=1m none . && cd "$PWD" && exec "$0"`
	for _, l := range scripts {
		t.Run(string(l), func(t *testing.T) {
			t.Chdir(t.TempDir())
			// The second write is taken in part.
			f := must(workload.NewFile(l, "data", 3<<19, 3<<18))(t)
			c := converseBy(t, must(f.Write(1))(t), "unshare", "-m", "sh", "-c", mounted)
			c.fails(must(f.Write(1))(t), "writing data: No space left on device after 1048576 bytes")
			c.check(must(f.Remove())(t))
			small := must(workload.NewFile(l, "small", 1<<18, 1<<16))(t)
			c.check(must(small.Write(2))(t))
			c.check(must(small.Read())(t))
			c.end()
		})
		t.Run(string(l)+"/load", func(t *testing.T) {
			t.Chdir(t.TempDir())
			w := must(workload.Load(l, workload.LoadOptions{Steps: 1, Rounds: 1, Blocks: 100}))(t)
			c := converseBy(t, w, "unshare", "-m", "sh", "-c", strings.Replace(mounted, "1m", "256k", 1))
			c.fails(w, "writing load.dat: No space left on device after 262144 bytes")
			c.check(must(workload.Load(l, workload.LoadOptions{Steps: 1, Rounds: 1, Blocks: 64}))(t))
			c.end()
		})
	}
}

// What is no request is answered with an error in one line that shows it, and the
// next with the right answer.
func TestScriptsRefuse(t *testing.T) {
	// These are words to the languages, or digits.
	odd := map[string][]string{
		"parallel": {"constructor 0 5 1", "__proto__ 0 5 1", "sum 0 \xb2 1", "sum 0 5 \u00b2", "sum 0 5 \u0663", "sum 0 5 True", "sum 0 5 1n"},
		"boundary": {"constructor 1", "__proto__ 1", "loop \xb2", "loop 1n", "loop Infinity", "loop inf"},
		"load":     {"1 1 \xb2", "1 1 1n", "1 Infinity 1", "NaN 1 1"},
		"fileio": {
			"constructor f 4096 4096 1 1", "__proto__ f 4096 4096 1 1", "toString f 4096 4096 1 1", "write f 4096 4096 1 \xb2",
			"write \u00e9 4096 4096 1 1", "write f NaN 4096 1 1", "write f Infinity 4096 1 1",
		},
	}
	for _, l := range scripts {
		for name, r := range refusals {
			t.Run(string(l)+"/"+name, func(t *testing.T) {
				t.Chdir(t.TempDir())
				w := r.right(t, l)
				c := converseBy(t, w)
				for _, bad := range slices.Concat(r.bad, odd[name], []string{"", " ", "\x00", "\n", strings.Repeat("9", 5000), strings.Repeat("9 ", 50_000)}) {
					a := string(c.ask([]byte(bad)))
					if !regexp.MustCompile(`^error: request [ -~]+: want [ -~]{10,500}$`).MatchString(a) {
						t.Errorf("%.80q is answered %.300q", bad, a)
					}
				}
				if left, err := os.ReadDir("."); len(left) != 0 || err != nil {
					t.Errorf("there are files now: %v, %v", left, err)
				}
				c.check(w)
				c.end()
			})
		}
	}
}
