package workload

import (
	"fmt"
	"math"
	"strconv"
	"sync"
)

// What can be asked of the guests of ParallelSum and ParallelHash.
const (
	MaxElements = 1 << 28
	MaxWorkers  = 256
)

// PartOptions say which numbers are worked on, and by how many.
type PartOptions struct {
	// Elements is how many numbers there are, from 1 to MaxElements.
	Elements int
	// From and To bound a part of them: those that are counted from From to
	// To-1. Where both are 0 it is all.
	From, To int
	// Workers is how many threads share the part, each a contiguous piece of it,
	// the thread that is asked among them; 0 is 1. In C these are threads of the
	// system, in Go goroutines, of which as many run at a time as Go has processors,
	// in Node.js worker threads on shared memory, in Python threads that take
	// turns. A module has one thread, and its guest answers with an error to more.
	Workers int
}

// ParallelSum doubles numbers of 32 bits, takes of them those that 3 divides and
// adds these up. The guest makes the numbers when it is first asked for a
// part of them and keeps them until it is asked for another: its first answer
// takes longer. So does the first Check in a process of a part, up to some tenths of
// a second for each 10 million numbers, for only it computes what is right. The right
// answer has the sum and the number of workers that did their piece. What is worked
// on is so little that it waits for memory.
func ParallelSum(l Language, o PartOptions) (*Guest, error) { return parallel(l, "sum", o, sumOf) }

// ParallelHash is as ParallelSum, but scatters the bits of each number 32 times
// and adds up what comes of it, so that it waits for nothing but the processor.
func ParallelHash(l Language, o PartOptions) (*Guest, error) { return parallel(l, "hash", o, hashOf) }

func parallel(l Language, kernel string, o PartOptions, of func(uint32) uint64) (*Guest, error) {
	if o.From == 0 && o.To == 0 {
		o.To = o.Elements
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	switch {
	case o.Elements < 1 || o.Elements > MaxElements:
		return nil, fmt.Errorf("workload %s: Elements=%d is not between 1 and %d", kernel, o.Elements, MaxElements)
	case o.From < 0 || o.From >= o.To:
		return nil, fmt.Errorf("workload %s: From=%d is not between 0 and To=%d", kernel, o.From, o.To)
	case o.To > o.Elements:
		return nil, fmt.Errorf("workload %s: To=%d is above Elements=%d", kernel, o.To, o.Elements)
	case o.Workers < 1 || o.Workers > min(MaxWorkers, o.To-o.From):
		return nil, fmt.Errorf("workload %s: Workers=%d is not between 1 and %d, of %d numbers", kernel, o.Workers, min(MaxWorkers, o.To-o.From), o.To-o.From)
	}
	part := fmt.Sprintf("%s %d %d", kernel, o.From, o.To)
	right := remember(part, func() string {
		var sum uint64
		for i := o.From; i < o.To; i++ {
			sum += of(scatter(uint32(i)) >> 8)
		}
		return strconv.FormatUint(sum, 10)
	})
	return &Guest{
		name:     kernel,
		program:  "parallel",
		noHTTP:   true,
		language: l,
		request:  fmt.Appendf(nil, "%s %d", part, o.Workers),
		right:    func() string { return fmt.Sprintf("%s %d", right(), o.Workers) },
	}, nil
}

func sumOf(x uint32) uint64 {
	if y := 2 * x; y%3 == 0 {
		return uint64(y)
	}
	return 0
}

func hashOf(x uint32) uint64 {
	for range 32 {
		x = scatter(x + 1)
	}
	return uint64(x >> 8)
}

// remember returns what gives the right answer to what is asked. It is computed once
// in a process, when it is first needed, so that to make a workload takes no time.
func remember(asked string, compute func() string) func() string {
	f, _ := answers.LoadOrStore(asked, sync.OnceValue(compute))
	return f.(func() string)
}

var answers sync.Map // from what is asked to a func() string

// A BoundaryOp is what a guest of Boundary is asked.
type BoundaryOp string

const (
	// Echo is a call that does nothing: from the harness to the guest and back.
	Echo BoundaryOp = "echo"
	// Syscall is calls from the guest to what runs it and back, each of the least
	// that there is: getppid of a process, args_sizes_get of WASI in a module.
	Syscall BoundaryOp = "syscall"
	// Loop is rounds of a loop with next to nothing in it, where what guards
	// against guests without end shows.
	Loop BoundaryOp = "loop"
)

// Boundary passes the boundary between the guest and what runs it, or lets the
// guest loop inside. n is the number of calls or rounds in one request, from 1 to
// 2147483647; Echo has none and does not look at it. The first Check in a process of
// a Loop takes some nanoseconds a round, for only it computes what is right.
func Boundary(l Language, op BoundaryOp, n int) (*Guest, error) {
	g := &Guest{name: "boundary", noHTTP: true, language: l}
	if op == Echo {
		g.request, g.want = []byte(op), []byte(op)
		return g, nil
	}
	if n < 1 || n > math.MaxInt32 {
		return nil, fmt.Errorf("workload boundary: n=%d of %s is not between 1 and %d", n, op, math.MaxInt32)
	}
	switch op {
	case Syscall:
		g.want = strconv.AppendInt(nil, int64(n), 10)
	case Loop:
		g.right = remember(fmt.Sprint("loop ", n), func() string { return strconv.FormatUint(uint64(loopResult(uint32(n))), 10) })
	default:
		return nil, fmt.Errorf("workload boundary: there is no %q; choose %q, %q or %q", op, Echo, Syscall, Loop)
	}
	g.request = fmt.Appendf(nil, "%s %d", op, n)
	return g, nil
}

// loopResult is what the rounds of a xorshift generator make of 1: Marsaglia,
// Xorshift RNGs, Journal of Statistical Software 8(14), with 13, 17 and 5.
func loopResult(rounds uint32) uint32 {
	x := uint32(1)
	for range rounds {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

// LoadOptions say what one request of Load has the guest do.
type LoadOptions struct {
	Steps  int // from 1
	Rounds int // of computing in each step, some nanoseconds each
	Blocks int // written, synced, read back and compared in each step after that, 4096 bytes each
}

// maxRounds keeps the right answer to some seconds of computing.
const maxRounds = 1 << 32

// Load computes and waits for storage in turns. Its file, load.dat in the
// guest's directory, is at most 1 MiB long; it is made when the guest is asked and
// removed before it answers. Where Blocks is 0 there is no file. The first Check in a
// process takes as long as a guest in Go computes, for only it computes what is right.
func Load(l Language, o LoadOptions) (*Guest, error) {
	switch {
	case o.Steps < 1 || o.Steps > math.MaxInt32:
		return nil, fmt.Errorf("workload load: Steps=%d is not between 1 and %d", o.Steps, math.MaxInt32)
	case o.Rounds < 0 || o.Rounds > math.MaxInt32:
		return nil, fmt.Errorf("workload load: Rounds=%d is not between 0 and %d", o.Rounds, math.MaxInt32)
	case o.Blocks < 0 || o.Blocks > math.MaxInt32:
		return nil, fmt.Errorf("workload load: Blocks=%d is not between 0 and %d", o.Blocks, math.MaxInt32)
	}
	rounds := int64(o.Steps) * int64(o.Rounds)
	if rounds > maxRounds {
		return nil, fmt.Errorf("workload load: Steps=%d of Rounds=%d are more than %d rounds in all", o.Steps, o.Rounds, int64(maxRounds))
	}
	right := remember(fmt.Sprintf("load %d", rounds), func() string {
		var x uint32
		for range rounds {
			x = scatter(x + 1)
		}
		return strconv.FormatUint(uint64(x), 10)
	})
	return &Guest{
		name:     "load",
		noHTTP:   true,
		language: l,
		request:  fmt.Appendf(nil, "%d %d %d", o.Steps, o.Rounds, o.Blocks),
		right:    func() string { return fmt.Sprintf("%s %d", right(), int64(o.Steps)*int64(o.Blocks)) },
	}, nil
}
