package enginehost

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

var errEngine = errors.New("out of bounds, says the engine")

// asChild is set in the environment of this program where it is a child that uses
// something up.
const asChild = "ENGINEHOST_TEST_USE_UP"

// A lack is something that a child of this program uses up. use returns the
// error of Exhausted.
var lacks = map[string]struct {
	what, fix string
	use       func() error
}{
	"maps":          {"maps of a process", "vm.max_map_count", useUpMaps},
	"address space": {"address space", "raise ulimit -v", func() error { return limited(unix.RLIMIT_AS, "VmSize", 1<<30, false) }},
	"data":          {"data segment", "raise ulimit -d", func() error { return limited(unix.RLIMIT_DATA, "VmData", 1<<30, true) }},
	"data, a page":  {"data segment", "raise ulimit -d", func() error { return limited(unix.RLIMIT_DATA, "VmData", 0, false) }},
}

func TestMain(m *testing.M) {
	if l, ok := lacks[os.Getenv(asChild)]; ok {
		err := l.use()
		var e *runtime.Exhausted
		if !errors.As(err, &e) || e.What != l.what || !strings.Contains(e.Fix, l.fix) || !errors.Is(err, errEngine) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What this process has too little of is named, with the remedy.
func TestExhausted(t *testing.T) {
	for name := range lacks {
		t.Run(name, func(t *testing.T) {
			if _, most, err := countMaps(); err != nil || name == "maps" && most > 1<<17 {
				t.Skipf("vm.max_map_count is %d: using them up would take long; error %v", most, err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), asChild+"="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// limited leaves this process half of size, and some for itself, of what a limit
// bounds and /proc/self/status tells, and wants size.
func limited(resource int, figure string, size uint64, writable bool) error {
	has, err := field("/proc/self/status", figure)
	if err != nil {
		return err
	}
	if size == 0 { // the limit is below what there is
		has /= 2
	}
	most := has + size/2
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return err
	}
	if err := Exhausted(size/8, writable, errEngine); size > 0 && err != errEngine {
		return fmt.Errorf("an eighth of it: %w", err)
	}
	return Exhausted(max(size, 1<<20), writable, errEngine)
}

// useUpMaps makes every other page of one reservation a map of its own.
func useUpMaps() error {
	_, most, err := countMaps()
	if err != nil {
		return err
	}
	page := os.Getpagesize()
	b, err := unix.Mmap(-1, 0, 2*most*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return err
	}
	for i := 0; i < len(b) && unix.Mprotect(b[i:i+page], unix.PROT_READ) == nil; i += 2 * page {
	}
	found := Exhausted(1<<20, false, errEngine)
	if err := unix.Munmap(b); err != nil {
		return err
	}
	if err := Exhausted(1<<20, false, errEngine); err != errEngine {
		return fmt.Errorf("with room again: %w", err)
	}
	return found
}

func TestNothingExhausted(t *testing.T) {
	for _, writable := range []bool{false, true} {
		if err := Exhausted(1<<30, writable, errEngine); err != errEngine {
			t.Errorf("writable %t: error %v, want that of the engine", writable, err)
		}
	}
}

func TestAddressSpaceExhausted(t *testing.T) {
	for _, writable := range []bool{false, true} {
		err := Exhausted(1<<47, writable, errEngine) // more than a process has
		var e *runtime.Exhausted
		if !errors.As(err, &e) || e.What != "address space" || !errors.Is(err, errEngine) || !strings.Contains(err.Error(), errEngine.Error()) {
			t.Errorf("writable %t: error %v", writable, err)
		}
	}
}

func TestOverCommit(t *testing.T) {
	proc := t.TempDir()
	plant := func(name, content string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(proc, name)), 0o755), os.WriteFile(filepath.Join(proc, name), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	plant("meminfo", "MemTotal:       24683520 kB\nCommitLimit:    12341760 kB\nCommitted_AS:   12340736 kB\n")
	for mode, want := range map[string]bool{"0": false, "1": false, "2": true} {
		plant("sys/vm/overcommit_memory", mode+"\n")
		e, err := overCommit(proc, 1<<30)
		if err != nil || (e != nil) != want {
			t.Errorf("mode %s: %v, error %v", mode, e, err)
		}
		for _, part := range []string{"1048576 KiB", "12051 MiB of the CommitLimit of 12052", "vm.overcommit_memory"} {
			if e != nil && !strings.Contains(e.Error(), part) {
				t.Errorf("%q does not tell of %q", e, part)
			}
		}
	}
	plant("sys/vm/overcommit_memory", "2\n")
	plant("meminfo", "MemTotal: 1 kB\n")
	if _, err := overCommit(proc, 1<<30); err == nil || !strings.Contains(err.Error(), "CommitLimit") {
		t.Errorf("without a limit: error %v", err)
	}
}

// A crowded is an image with room for one instance.
type crowded struct{ *fake }

var seat = runtime.Region{Kind: runtime.LinearMemory, Start: 1 << 46, End: 1<<46 + 1<<32}

func (c *crowded) Start(ctx context.Context, mark func(runtime.Phase, time.Time)) (runtime.Instance, error) {
	if c.open.Load() > 0 {
		return nil, fmt.Errorf("starting: %w", &runtime.Exhausted{What: "chairs", Why: "there is one", Fix: "stand", Err: errEngine})
	}
	inst, err := c.fake.Start(ctx, mark)
	return seated{inst}, err
}

type seated struct{ runtime.Instance }

func (seated) Regions(context.Context) ([]runtime.Region, error) { return []runtime.Region{seat}, nil }

// What is used up, and where an instance lies, cross the pipe to the harness.
func TestHoldTellsOfExhaustionAndRegions(t *testing.T) {
	img := &crowded{fake: newFake()}
	var in, out bytes.Buffer
	enc := gob.NewEncoder(&in)
	for _, q := range []Query{{Op: OpStart}, {Op: OpStart}, {Op: OpRegions, ID: 1}, {Op: OpRegions, ID: 2}} {
		if err := enc.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := hold(t.Context(), img, &in, &out, nil); err != nil {
		t.Fatal(err)
	}
	var replies [4]Reply
	dec := gob.NewDecoder(&out)
	for i := range replies {
		if err := dec.Decode(&replies[i]); err != nil {
			t.Fatal(err)
		}
	}
	if e := replies[1].Exhausted; e == nil || e.What != "chairs" || e.Fix != "stand" || !strings.Contains(replies[1].Err, errEngine.Error()) {
		t.Errorf("the second start was answered with %+v", replies[1])
	}
	if g := replies[2].Regions; len(g) != 1 || g[0] != seat || replies[2].Err != "" {
		t.Errorf("the region was told as %+v", replies[2])
	}
	if !strings.Contains(replies[3].Err, "no instance 2") {
		t.Errorf("the regions of no instance were told as %+v", replies[3])
	}
}
