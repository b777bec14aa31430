package enginehost

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0132abb7/wasmbench/runtime"
)

var errEngine = errors.New("out of bounds, says the engine")

func TestNothingExhausted(t *testing.T) {
	if err := Exhausted(1<<30, errEngine); err != errEngine {
		t.Errorf("error %v, want that of the engine", err)
	}
}

func TestAddressSpaceExhausted(t *testing.T) {
	err := Exhausted(1<<47, errEngine) // more than a process has
	var e *runtime.Exhausted
	if !errors.As(err, &e) || e.What != "address space" || !errors.Is(err, errEngine) || !strings.Contains(err.Error(), errEngine.Error()) {
		t.Errorf("error %v", err)
	}
}

func TestMapsExhausted(t *testing.T) {
	_, most, err := countMaps()
	if err != nil {
		t.Fatal(err)
	}
	if most > 1<<17 {
		t.Skipf("vm.max_map_count is %d: using them up would take long", most)
	}
	// Every other page of one reservation is a map of its own.
	page := os.Getpagesize()
	b, err := unix.Mmap(-1, 0, 2*most*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(b) && unix.Mprotect(b[i:i+page], unix.PROT_READ) == nil; i += 2 * page {
	}
	err = Exhausted(1<<20, errEngine)
	if uerr := unix.Munmap(b); uerr != nil {
		t.Fatal(uerr)
	}
	var e *runtime.Exhausted
	if !errors.As(err, &e) || e.What != "maps of a process" || !strings.Contains(e.Fix, "vm.max_map_count") {
		t.Errorf("error %v", err)
	}
	if err := Exhausted(1<<20, errEngine); err != errEngine {
		t.Errorf("with room again: error %v", err)
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
	if err := hold(t.Context(), img, &in, &out); err != nil {
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
