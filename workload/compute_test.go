package workload_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0132abb7/wasmbench/runtime"
	"github.com/seed-0132abb7/wasmbench/runtime/native"
	"github.com/seed-0132abb7/wasmbench/runtime/wasmtime"
	"github.com/seed-0132abb7/wasmbench/runtime/wazero"
	"github.com/seed-0132abb7/wasmbench/workload"
)

// portable are the languages whose guests are modules too.
var portable = []workload.Language{workload.C, workload.Go}

// onEach runs f with every runtime that has one of the forms of a portable guest.
func onEach(t *testing.T, f func(t *testing.T, l workload.Language, r runtime.Runtime)) {
	for _, l := range portable {
		for _, r := range []runtime.Runtime{
			native.New(), wazero.Precompiled(), wazero.Embedded(),
			wasmtime.Precompiled(), wasmtime.Embedded(wasmtime.EmbeddedOptions{}),
		} {
			// A module that Go makes takes seconds to compile: one of each form will do.
			if l == workload.Go && (r.Name() == "wasmtime" || r.Name() == "wasmtime-embedded") {
				continue
			}
			t.Run(string(l)+"/"+r.Name(), func(t *testing.T) { f(t, l, r) })
		}
	}
}

// live starts an instance and returns how it is asked.
func live(t *testing.T, r runtime.Runtime, w workload.Workload) func(request []byte) []byte {
	t.Helper()
	img, err := r.Prepare(t.Context(), w)
	skip(t, err)
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	inst, _, err := runtime.FirstAnswer(t.Context(), img, w.Request(), w.Check)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inst.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(request []byte) []byte {
		t.Helper()
		answer, err := inst.Call(t.Context(), request)
		if err != nil {
			t.Fatalf("%.80q: %v", request, err)
		}
		return answer
	}
}

// must returns w unless there is an error.
func must[W any](w W, err error) func(testing.TB) W {
	return func(t testing.TB) W {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
}

// A refusal is a program with requests that it must refuse.
type refusal struct {
	right func(*testing.T, workload.Language) workload.Workload // what it answers all the same
	bad   []string
}

var refusals = map[string]refusal{
	"parallel": {
		func(t *testing.T, l workload.Language) workload.Workload {
			return must(workload.ParallelSum(l, workload.PartOptions{Elements: 100}))(t)
		},
		[]string{
			"sum", "sum 0", "sum 0 10", "sum 0 10 ", "sum 0 10 1 ", " sum 0 10 1", "sum  0 10 1", "sum 0 10 1 1", "sum\t0 10 1", "0 10 1",
			"max 0 10 1", "Sum 0 10 1", "summ 0 10 1", "su 0 10 1", "sum 0 0 1", "sum 10 5 1", "sum 5 5 1", "sum -1 10 1", "sum +1 10 1", "sum 0 -10 1",
			"sum 0 268435457 1", "sum 0 4294967297 1", "sum 0 18446744073709551617 1", "sum 268435456 268435457 1", "sum 4294967296 4294967297 1",
			"sum 18446744073709551615 0 1", "sum 999999999999999 999999999999999 1",
			"sum 0 10 0", "sum 0 10 11", "sum 0 10 -1", "sum 0 1000 257", "sum 0 1000 4294967297", "sum 0 1000 18446744073709551617",
			"sum 0 10 1\n", "sum 0 10 1\x00", "sum 0x0 10 1", "sum 0 1e3 1", "sum 0 1_0 1", "sum 0 1.5 1", "sum 0 10 \xff", "sum 0 10 \u0661", "hash",
		},
	},
	"boundary": {
		func(t *testing.T, l workload.Language) workload.Workload {
			return must(workload.Boundary(l, workload.Syscall, 10))(t)
		},
		[]string{
			"Echo", "echo ", "echo 1", " echo", "ech", "echoo", "echo\n", "syscall", "syscall ", "syscall 0", "syscall -1", "syscall 1 1", "syscall  1",
			"syscall 2147483648", "syscall 18446744073709551617", "syscalls 1", "loop", "loop 0", "loop -1", "loop +1", "loop 1.0", "loop 1\n", "loop 0x1",
			"loop 2147483648", "loop 4294967297", "loop 18446744073709551617", "loop one", "loop \xff", "1", "1 loop",
		},
	},
	"load": {
		func(t *testing.T, l workload.Language) workload.Workload {
			return must(workload.Load(l, workload.LoadOptions{Steps: 2, Rounds: 10, Blocks: 3}))(t).WithMount(t.TempDir())
		},
		[]string{
			"1", "1 1", "1 1 ", " 1 1 1", "1  1 1", "1 1 1 1", "1 1 1 ", "0 1 1", "-1 1 1", "1 -1 1", "1 1 -1", "one 1 1", "1 1 1\n", "1 1 1\x00",
			"2147483648 0 0", "1 2147483648 0", "1 1 2147483648", "4294967297 1 1", "1 18446744073709551617 1", "1 1 0x1", "1 1e0 1", "1 \xff 1",
		},
	},
	"fileio": {
		func(t *testing.T, l workload.Language) workload.Workload {
			return must(newFile(t, l, 1<<16).Write(3))(t)
		},
		[]string{
			"read", "read f 4096 4096 0", "read f 4096 4096 0 0 0", "read f 4096 4096 0 0 ", " read f 4096 4096 0 0", "read  4096 4096 0 0", "read f  4096 4096 0 0",
			"erase f 4096 4096 0 0", "Read f 4096 4096 0 0", "rea f 4096 4096 0 0", "read\x00 f 4096 4096 0 0",
			"read f\x00 4096 4096 0 0", "read f\n 4096 4096 0 0", "read \xff 4096 4096 0 0", "read " + strings.Repeat("n", 256) + " 4096 4096 0 0",
			"read f 0 4096 0 0", "read f 4095 4095 0 0", "read f 8191 4096 0 0", "read f 4096 8192 0 0", "read f 4097 4097 0 0", "read f 12288 8192 0 0",
			"read f 4096 0 0 0", "read f 4096 1 0 0", "read f 4096 -4096 0 0", "read f -4096 4096 0 0", "read f 1099511631872 4096 0 0", "read f 4294967296000000 4096 0 0",
			"read f 134217728 134217728 0 0", "read f 4294967296 4294967296 0 0", "write f 18446744073709555712 4096 0 0",
			"randread f 4096 4096 4194305 0", "randread f 4096 4096 -1 0", "randread f 4096 4096 4294967297 0", "randwrite f 4096 4096 1 4294967296",
			"randwrite f 4096 4096 1 -1", "clock - 4096 4096 4194305 0", "clock - 4096 4096 x 0", "write f 4096 4096 0 18446744073709551617",
		},
	},
}

// What is malformed is answered with an error of one line, and the guest lives on.
func TestMalformedRequests(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
				w := c.right(t, l)
				ask := live(t, r, w)
				for _, bad := range append(c.bad, "", " ", "\x00", strings.Repeat("9", 5000), strings.Repeat("9 ", 5000), strings.Repeat(" ", 100_000)) {
					a := string(ask([]byte(bad)))
					if !regexp.MustCompile(`^error: [ -~]{10,900}$`).MatchString(a) {
						t.Errorf("%.80q is answered %.300q", bad, a)
					}
				}
				if err := w.Check(ask(w.Request())); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFormsOfComputing(t *testing.T) {
	everywhere := []workload.Form{workload.Executable, workload.RootFS}
	for _, l := range workload.Languages() {
		for name, c := range refusals {
			t.Run(name+"/"+string(l), func(t *testing.T) {
				w := c.right(t, l)
				for _, f := range []workload.Form{workload.CGI, workload.Server, workload.ServerRootFS} {
					var u *workload.Unavailable
					if _, err := w.Artifact(t.Context(), f); !errors.As(err, &u) || !errors.Is(err, workload.ErrNoForm) || u.Fix == "" {
						t.Errorf("as %s: %v; want an *Unavailable that wraps ErrNoForm", f, err)
					}
				}
				made := everywhere
				if slices.Contains(portable, l) {
					made = append(made[:2:2], workload.Command, workload.Reactor)
				}
				for _, f := range made {
					path, err := w.Artifact(t.Context(), f)
					skip(t, err)
					if _, err := os.Stat(path); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// The answers are those that guests gave before the harness computed any.
func TestParallelAnswers(t *testing.T) {
	kernels := map[string]func(workload.Language, workload.PartOptions) (*workload.Guest, error){"sum": workload.ParallelSum, "hash": workload.ParallelHash}
	for _, c := range []struct {
		kernel string
		of     workload.PartOptions
		want   string // request and answer
	}{
		{"sum", workload.PartOptions{Elements: 10_000_000}, "sum 0 10000000 1 = 55901527777704 1"},
		{"sum", workload.PartOptions{Elements: 10_000_000, Workers: 2}, "sum 0 10000000 2 = 55901527777704 2"},
		{"hash", workload.PartOptions{Elements: 10_000_000, To: 10_000_000, Workers: 3}, "hash 0 10000000 3 = 83866979599676 3"},
		{"sum", workload.PartOptions{Elements: 1000, Workers: 256}, "sum 0 1000 256 = 5484597174 256"},
	} {
		w := must(kernels[c.kernel](workload.C, c.of))(t)
		request, answer, _ := strings.Cut(c.want, " = ")
		if w.Name() != c.kernel || string(w.Request()) != request || w.Check([]byte(answer)) != nil || w.Check([]byte(answer+"0")) == nil {
			t.Errorf("%+v: %s %q: %v", c.of, w.Name(), w.Request(), w.Check([]byte(answer)))
		}
	}
	for _, c := range []struct {
		of    workload.PartOptions
		names string
	}{
		{workload.PartOptions{}, "Elements=0"},
		{workload.PartOptions{Elements: -1}, "Elements=-1"},
		{workload.PartOptions{Elements: workload.MaxElements + 1}, "Elements=268435457"},
		{workload.PartOptions{Elements: 10, From: 5}, "From=5"},
		{workload.PartOptions{Elements: 10, From: 5, To: 5}, "From=5"},
		{workload.PartOptions{Elements: 10, From: -1, To: 5}, "From=-1"},
		{workload.PartOptions{Elements: 10, From: 5, To: 11}, "To=11"},
		{workload.PartOptions{Elements: 10, Workers: -1}, "Workers=-1"},
		{workload.PartOptions{Elements: 10, Workers: 11}, "Workers=11"},
		{workload.PartOptions{Elements: 10, From: 5, To: 7, Workers: 3}, "Workers=3"},
		{workload.PartOptions{Elements: 1000, Workers: workload.MaxWorkers + 1}, "Workers=257"},
	} {
		for name, of := range kernels {
			if _, err := of(workload.C, c.of); err == nil || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %+v: error %v does not name %s", name, c.of, err, c.names)
			}
		}
	}
}

// Shards and workers divide what there is: any way, the parts are the whole.
func TestParallelGuests(t *testing.T) {
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		ask := live(t, r, must(workload.ParallelSum(l, workload.PartOptions{Elements: 1000}))(t))
		for _, of := range []func(workload.Language, workload.PartOptions) (*workload.Guest, error){workload.ParallelSum, workload.ParallelHash} {
			for _, o := range []workload.PartOptions{
				{Elements: 100_003}, {Elements: 1}, {Elements: 100_003, From: 33_334, To: 66_668}, {Elements: 100_003, From: 100_002, To: 100_003},
				{Elements: workload.MaxElements, From: workload.MaxElements - 5, To: workload.MaxElements},
				{Elements: 7, Workers: 7}, {Elements: 100_003, Workers: 2}, {Elements: 100_003, Workers: 3}, {Elements: 1000, Workers: 256}, {Elements: 100_003},
			} {
				w := must(of(l, o))(t)
				err := w.Check(ask(w.Request()))
				if o.Workers < 2 || r.Name() == "native" {
					if err != nil {
						t.Errorf("%s: %v", w.Request(), err)
					}
					continue
				}
				var g *workload.GuestError
				if !errors.As(err, &g) || !strings.Contains(g.Text, fmt.Sprintf("%d workers", o.Workers)) {
					t.Errorf("%s: error %v, want the guest's about its workers", w.Request(), err)
				}
			}
		}
	})
}

func TestBoundary(t *testing.T) {
	x := uint32(1)
	for n := 1; n <= 1000; n++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		if w := must(workload.Boundary(workload.C, workload.Loop, n))(t); w.Check(fmt.Append(nil, x)) != nil {
			t.Fatalf("%d rounds: %v", n, w.Check(fmt.Append(nil, x)))
		}
	}
	for _, c := range []struct {
		op    workload.BoundaryOp
		n     int
		names string
	}{{workload.Loop, 0, "n=0"}, {workload.Syscall, -1, "n=-1"}, {workload.Loop, math.MaxInt32 + 1, "n=2147483648"}, {"jump", 1, "jump"}} {
		if _, err := workload.Boundary(workload.C, c.op, c.n); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s %d: error %v does not name %s", c.op, c.n, err, c.names)
		}
	}
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		ask := live(t, r, must(workload.Boundary(l, workload.Echo, 0))(t))
		for _, c := range []struct {
			op workload.BoundaryOp
			n  int
		}{{workload.Echo, 0}, {workload.Syscall, 1}, {workload.Syscall, 1000}, {workload.Loop, 1}, {workload.Loop, 2}, {workload.Loop, 1_000_003}} {
			w := must(workload.Boundary(l, c.op, c.n))(t)
			if err := w.Check(ask(w.Request())); err != nil {
				t.Errorf("%s: %v", w.Request(), err)
			}
		}
	})
}

// The loop of the C module has one backward branch a round: its body is there
// once, and the branch follows.
func TestLoopBranchesEachRound(t *testing.T) {
	// loop, i32.const and a shift by 13, 17 and 5 once each, br_if to the loop, end
	round := regexp.MustCompile(`(?s)\x03\x40[^\x03]{0,8}\x41\x0d\x74.{1,8}\x41\x11\x76.{1,8}\x41\x05\x74.{1,16}\x0d\x00\x0b`)
	for _, f := range []workload.Form{workload.Command, workload.Reactor} {
		path, err := must(workload.Boundary(workload.C, workload.Loop, 1))(t).Artifact(t.Context(), f)
		skip(t, err)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(round.FindAll(latin(b), -1)) != 1 || bytes.Count(b, []byte("\x41\x11\x76")) != 1 {
			t.Errorf("%s has no loop of one round", path)
		}
	}
}

// latin returns the bytes as characters, which is what a regular expression
// reads.
func latin(b []byte) []byte {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return []byte(string(runes))
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		of    workload.LoadOptions
		names string
	}{
		{workload.LoadOptions{}, "Steps=0"},
		{workload.LoadOptions{Steps: 1, Rounds: -1}, "Rounds=-1"},
		{workload.LoadOptions{Steps: 1, Blocks: -1}, "Blocks=-1"},
		{workload.LoadOptions{Steps: 1, Blocks: math.MaxInt32 + 1}, "Blocks=2147483648"},
		{workload.LoadOptions{Steps: 1 << 20, Rounds: 1 << 20}, "Rounds=1048576"},
	} {
		if _, err := workload.Load(workload.C, c.of); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: error %v does not name %s", c.of, err, c.names)
		}
	}
	onEach(t, func(t *testing.T, l workload.Language, r runtime.Runtime) {
		dir := t.TempDir()
		ask := live(t, r, must(workload.Load(l, workload.LoadOptions{Steps: 1}))(t).WithMount(dir))
		for _, o := range []workload.LoadOptions{{Steps: 1}, {Steps: 3, Rounds: 10}, {Steps: 3, Rounds: 10, Blocks: 4}, {Steps: 1, Blocks: 300}} {
			w := must(workload.Load(l, o))(t)
			if err := w.Check(ask(w.Request())); err != nil {
				t.Errorf("%+v: %v", o, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("%+v leaves %v, %v", o, left, err)
			}
		}
	})
}
