package workload

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// A Language is what a guest of the catalogue is written in: the value of
// /guest= in a benchmark's name.
type Language string

const (
	C  Language = "c"
	Go Language = "go"
)

// Languages returns the languages in which the catalogue has every workload.
func Languages() []Language { return []Language{C, Go} }

// A Guest is a workload of the catalogue in one language.
type Guest struct {
	name     string
	language Language
	request  []byte
	want     []byte
}

// Hello greets the name in its request: the least that a guest can do, so that
// what is measured is the runtime.
func Hello(l Language) *Guest {
	return &Guest{name: "hello", language: l, request: []byte("World"), want: []byte("Hello, World!")}
}

// MaxFibonacci is the largest n whose Fibonacci number fits in 64 bits.
const MaxFibonacci = 93

// Fibonacci computes the nth Fibonacci number by plain double recursion, about
// 1.618^n calls of a function. The guests' sources keep every compiler from
// changing that shape. n is from 0 to MaxFibonacci.
func Fibonacci(l Language, n int) (*Guest, error) {
	if n < 0 || n > MaxFibonacci {
		return nil, fmt.Errorf("workload fibonacci: n=%d is not between 0 and %d", n, MaxFibonacci)
	}
	var a, b uint64 = 0, 1
	for range n {
		a, b = b, a+b
	}
	return &Guest{
		name:     "fibonacci",
		language: l,
		request:  strconv.AppendInt(nil, int64(n), 10),
		want:     strconv.AppendUint(nil, a, 10),
	}, nil
}

// Name returns the workload's name: "hello" or "fibonacci".
func (g *Guest) Name() string { return g.name }

// Language returns what the guest is written in.
func (g *Guest) Language() Language { return g.language }

// Request returns what the guest is asked.
func (g *Guest) Request() []byte { return g.request }

// Check compares answer with the right one.
func (g *Guest) Check(answer []byte) error {
	if !bytes.Equal(answer, g.want) {
		return &WrongAnswer{Workload: g.name + "/guest=" + string(g.language), Got: bytes.Clone(answer), Want: g.want}
	}
	return nil
}

// Artifact returns the guest in the form f from the user's cache, where it is
// built from the embedded sources at its first use. The modules of the C guests
// are embedded built.
func (g *Guest) Artifact(ctx context.Context, f Form) (string, error) {
	switch {
	case f == RootFS:
		return g.rootFS(ctx)
	case f == Executable && g.language == C:
		return buildC(ctx, g.name)
	case (f == Command || f == Reactor) && g.language == C:
		return unpackModule(ctx, g.name, f)
	case (f == Executable || f == Command || f == Reactor) && g.language == Go:
		return buildGo(ctx, g.name, f)
	}
	return "", &Unavailable{
		What: fmt.Sprintf("guest %s of workload %s as %s", g.language, g.name, f),
		Why:  "the catalogue has no such guest",
		Fix:  "choose a guest of " + fmt.Sprint(Languages()),
	}
}
